from __future__ import annotations

from typing import Any

import pytest

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal, Segment
from search.tuning.limits.budgets import Budgets
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from tests.made.studies import epoch_report


class Study:
    """Trials, a meter whose clock only the test moves, and a run's budgets; a trial holds 2 GPUs."""

    def __init__(self) -> None:
        self.ledger = Ledger.in_memory()
        self.now = 0.0
        self.meter = Meter({"CPU": 1, "GPU": 2}, clock=lambda: self.now)
        self.stopping = Stopping()

    def begin(self, epochs: int = 0) -> int:
        number = self.ledger.begin(Proposal(params={}, distributions={}, config={})).number
        for epoch in range(1, epochs + 1):
            self.ledger.add_epoch(number, epoch_report(epoch, train_seconds=10.0, val_seconds=2.0))
        return number

    def segment(self, number: int, seconds: float, gpus: float = 2.0) -> None:
        self.ledger.add_segment(number, Segment(start_seconds=seconds, wait_seconds=0, cpus=1, gpus=gpus))

    def budgets(self, epochs: int | None = None, gpu_hours: float | None = None) -> Budgets:
        return Budgets(self.stopping, self.meter, self.ledger.records(), epochs=epochs, gpu_hours=gpu_hours)

    def epoch_ends(self, budgets: Budgets, number: int = 0) -> None:
        budgets.epoch_ended(self.ledger.record(number), epoch_report(1))

    def ends_after(self, seconds: float, budgets: Budgets, number: int, how: str) -> None:
        """A trial that was started runs so many seconds and leaves its device."""
        self.now += seconds
        self.ledger.add_segment(number, self.meter.end(number))
        getattr(budgets, how)(self.ledger.record(number))


@pytest.fixture
def study() -> Study:
    return Study()


def told(stopping: Stopping) -> tuple[Any, int]:
    return stopping.reason, stopping.exit_code


def test_the_epochs_of_all_trials_count_and_the_run_ends_with_the_last_one(study):
    for _ in range(2):
        study.begin()
    budgets = study.budgets(epochs=3)
    for number in (0, 1):
        study.epoch_ends(budgets, number)
        assert study.stopping.reason is None
    study.epoch_ends(budgets, 0)
    assert told(study.stopping) == (
        "the budget of 3 epochs is spent: the same command continues the study with a larger one",
        0,
    )


@pytest.mark.parametrize("end", ["running", "complete", "prune", "fail"])
def test_epochs_of_earlier_runs_count_whatever_became_of_their_trials(end, study):
    """Two trials of earlier runs have 2 and 3 epochs."""
    study.begin(epochs=2)
    number = study.begin(epochs=3)
    if end != "running":
        getattr(study.ledger, end)(number, *(["a bug"] if end == "fail" else []))
    budgets = study.budgets(epochs=6)
    assert study.stopping.reason is None
    study.epoch_ends(budgets)
    assert study.stopping.reason is not None


@pytest.mark.parametrize(("epochs", "over"), [(0, True), (2, True), (3, True), (4, False), (None, False)])
def test_a_budget_that_is_spent_already_ends_the_run_before_it_begins(epochs, over, study):
    study.begin(epochs=3)
    study.budgets(epochs=epochs)
    assert (study.stopping.reason is not None) == over


def test_gpu_hours_are_what_earlier_trials_held_and_what_runs_holds_so_far(study):
    """Of 3600 GPU seconds, trial 0 took (100 + 50 + 2 * 12) * 2 = 348 in two segments, trial 1 took 52 * 0.5 = 26.

    The trial that runs holds 2 GPUs: the 3226 that are left take it 1613 s.
    """
    study.begin(epochs=2)
    study.segment(0, 100)
    study.segment(0, 50)
    study.begin()
    study.segment(1, 52, gpus=0.5)
    budgets = study.budgets(gpu_hours=1.0)
    study.meter.begin(2)
    study.now = 1612.5
    study.epoch_ends(budgets)
    assert study.stopping.reason is None
    study.now = 1613.0
    study.epoch_ends(budgets)
    assert told(study.stopping) == (
        "the budget of 1 GPU-hours is spent: the same command continues the study with a larger one",
        0,
    )


@pytest.mark.parametrize("how", ["trial_ended", "attempt_failed", "trial_paused"])
def test_what_a_trial_held_counts_once_when_it_leaves_its_gpus(how, study):
    """Trial 0 holds 2 GPUs for 600 s, then for 600 s more: 2400 of 3600 GPU seconds. Trial 1 spends what is left."""
    for _ in range(2):
        study.begin()
    budgets = study.budgets(gpu_hours=1.0)
    for _ in range(2):
        study.meter.begin(0)
        study.ends_after(600.0, budgets, 0, how)
        study.epoch_ends(budgets)
    study.meter.begin(1)
    study.now += 599.5
    study.epoch_ends(budgets)
    assert study.stopping.reason is None
    study.now += 0.5
    study.epoch_ends(budgets)
    assert study.stopping.reason is not None


@pytest.mark.parametrize("how", ["trial_ended", "attempt_failed", "trial_paused"])
def test_the_gpus_of_a_trial_of_an_earlier_run_are_not_counted_twice(how, study):
    """It took 1000 GPU seconds before, and takes 1000 more: 2000 of 2001."""
    study.begin()
    study.segment(0, 500)
    budgets = study.budgets(gpu_hours=2001 / 3600)
    study.meter.begin(0)
    study.ends_after(500.0, budgets, 0, how)
    study.epoch_ends(budgets)
    assert study.stopping.reason is None
    study.meter.begin(0)
    study.now += 0.5
    study.epoch_ends(budgets)
    assert study.stopping.reason is not None


@pytest.mark.parametrize(("gpu_hours", "over"), [(0.5, True), (0.25, True), (0.501, False), (None, False), (0.0, True)])
def test_gpu_hours_that_are_spent_already_end_the_run_before_it_begins(gpu_hours, over, study):
    study.begin()
    study.segment(0, 900)  # of 2 GPUs: half an hour
    study.budgets(gpu_hours=gpu_hours)
    assert (study.stopping.reason is not None) == over


def test_trials_without_a_gpu_spend_epochs_only(study):
    study.meter.demand = {"CPU": 4}
    study.begin(epochs=1)
    study.segment(0, 10**6, gpus=0)
    budgets = study.budgets(epochs=2, gpu_hours=0.001)
    study.meter.begin(1)
    study.now = 10.0**6
    assert study.stopping.reason is None
    study.epoch_ends(budgets)
    assert study.stopping.reason.startswith("the budget of 2 epochs is spent")


def test_the_report_that_spends_the_budget_stops_its_own_trial(study):
    """Tune asks for the decision on a report before the callbacks get it."""
    study.begin()
    budgets = study.budgets(epochs=2)
    assert not study.stopping("tune0", {"ended": None})
    study.epoch_ends(budgets)
    assert study.stopping.reason is None
    assert study.stopping("tune0", {"ended": None})
    assert not study.stopping("tune0", {"ended": "max_epochs"})  # it ends by itself
    assert study.stopping.reason is None


def test_the_report_after_which_the_gpu_hours_are_spent_stops_its_own_trial(study):
    number = study.begin()
    study.budgets(gpu_hours=0.01)  # 36 s of one GPU
    study.meter.begin(number)
    study.now += 17
    assert not study.stopping("tune0", {"ended": None})
    study.now += 1
    assert study.stopping("tune0", {"ended": None})
