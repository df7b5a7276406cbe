"""When a trial's process counts as hanging, by a clock that is turned by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.tuning.hang_watch import HangWatch
from tests.processes.loops import epoch_report


class Watched:
    """Trials under a watch that looks once a second; each epoch took `epoch_seconds`, checkpoints included."""

    def __init__(self, timeout=None, epoch_seconds=10.0):
        self.now, self.epoch_seconds = 0.0, epoch_seconds
        self.killed: list[str] = []
        self.ledger = Ledger.in_memory()
        self.watch = HangWatch(self.ledger, timeout, clock=lambda: self.now, kill=self.killed.append)

    def report(self, epoch):
        parts = {"train_seconds": 0.5, "val_seconds": 0.3, "checkpoint_seconds": 0.2}
        return epoch_report(epoch, **{name: part * self.epoch_seconds for name, part in parts.items()})

    def begin(self, epochs=0):
        number = self.ledger.begin(Proposal(params={}, distributions={}, config={})).number
        for epoch in range(1, epochs + 1):
            self.ledger.add_epoch(number, self.report(epoch))
        return number

    def trial(self, number):
        state = SimpleNamespace(ray_actor=f"actor {number}")
        return SimpleNamespace(config={"number": number}, temporary_state=state)

    def start(self, number):
        self.watch.on_trial_start(1, [], self.trial(number))

    def epoch(self, number, epoch):
        self.watch.on_trial_result(1, [], self.trial(number), self.report(epoch).to_dict())

    def wait(self, seconds):
        for _ in range(seconds):
            self.now += 1
            self.watch.on_step_end(1, [])


@pytest.mark.parametrize(("timeout", "limit"), [(None, 900), (60, 900), (2000, 2000)])
def test_before_its_first_report_a_process_has_a_quarter_of_an_hour_or_more(timeout, limit):
    trials = Watched(timeout)
    trials.start(trials.begin())
    trials.wait(limit)
    assert trials.killed == []
    trials.wait(1)
    assert trials.killed == ["actor 0"]
    assert "first report" in trials.watch.failure(0, 0).message


@pytest.mark.parametrize(
    ("timeout", "epoch_seconds", "limit", "why"),
    [
        (None, 3.0, 120, "its median epoch takes 3 s"),
        (None, 12.0, 120, "its median epoch takes 12 s"),
        (None, 12.5, 125, "its median epoch takes 12 s"),
        (None, 60.0, 600, "its median epoch takes 1 min 00 s"),
        (7, 60.0, 7, "--hang-timeout"),
    ],
)
def test_afterwards_it_has_ten_of_its_epochs_or_two_minutes_or_what_was_asked(timeout, epoch_seconds, limit, why):
    trials = Watched(timeout, epoch_seconds)
    number = trials.begin()
    trials.start(number)
    trials.wait(800)
    trials.epoch(number, 1)
    trials.wait(limit)
    assert trials.killed == []
    trials.wait(1)
    assert trials.killed == ["actor 0"]
    failure = trials.watch.failure(number, 1)
    assert (failure.kind, failure.epoch) == ("hung", 1)
    assert why in failure.message
    trials.wait(2000)
    assert trials.killed == ["actor 0"]


def test_the_median_is_of_the_trials_epochs_of_all_runs():
    trials = Watched(epoch_seconds=100)
    number = trials.begin(epochs=3)
    trials.start(number)
    trials.epoch_seconds = 1
    trials.epoch(number, 4)
    trials.wait(1000)  # ten times the median of 100, 100, 100 and 1
    assert trials.killed == []
    trials.wait(1)
    assert trials.killed == ["actor 0"]


def test_each_report_begins_the_time_anew_and_each_trial_has_its_own():
    trials = Watched(timeout=50)
    first, second = trials.begin(), trials.begin()
    for number in (first, second):
        trials.start(number)
        trials.epoch(number, 1)
    trials.wait(40)
    trials.epoch(first, 2)
    trials.wait(11)
    assert trials.killed == ["actor 1"]
    trials.wait(40)
    assert trials.killed == ["actor 1", "actor 0"]


@pytest.mark.parametrize("end", ["on_trial_complete", "on_trial_error"])
def test_a_trial_that_has_ended_or_broken_is_not_watched(end):
    trials = Watched(timeout=5)
    number = trials.begin()
    trials.start(number)
    trials.epoch(number, 1)
    getattr(trials.watch, end)(1, [], trials.trial(number))
    trials.wait(2000)
    assert trials.killed == []
    assert trials.watch.failure(number, 1) is None


def test_a_failure_is_told_once_and_not_of_a_later_start():
    trials = Watched(timeout=5)
    number = trials.begin()
    trials.start(number)
    trials.wait(901)
    assert trials.watch.failure(number, 0) is not None
    assert trials.watch.failure(number, 0) is None
    trials.start(number)
    trials.wait(901)
    trials.start(number)
    assert trials.watch.failure(number, 0) is None


def test_a_driver_that_stood_still_did_not_watch():
    """As one that was stopped, or whose machine was: trials may have reported meanwhile, and are heard of next."""
    trials = Watched(timeout=50)
    number = trials.begin()
    trials.start(number)
    trials.epoch(number, 1)
    trials.wait(1)
    trials.now += 3600
    trials.wait(40)  # the first of these looks counts 10 s
    assert trials.killed == []
    trials.wait(1)
    assert trials.killed == ["actor 0"]


def test_a_trial_without_a_process_is_left_alone():
    trials = Watched(timeout=5)
    number = trials.begin()
    trial = trials.trial(number)
    trials.watch.on_trial_start(1, [], trial)
    trial.temporary_state.ray_actor = None
    trials.wait(2000)
    assert trials.killed == []
