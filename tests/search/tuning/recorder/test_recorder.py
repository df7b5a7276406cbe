"""What each of Tune's events becomes in the ledger, and who hears of it when."""

from __future__ import annotations

import copy

import pytest

from search.ledger.records import Segment
from search.tuning.callbacks import Callback
from tests.made.recording import Driver


@pytest.fixture
def make(tmp_path):
    def driver(**options):
        return Driver(tmp_path, **options)

    return driver


def test_watchers_hear_of_a_start_and_of_each_epoch_after_the_ledger_in_their_order(make):
    driver = make(callbacks=2)
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.epoch(number, 2)
    assert driver.heard == [
        ("begin_segment", 0),
        ("callback 0", "started", 0, "running", (0, 0, 1)),
        ("callback 1", "started", 0, "running", (0, 0, 1)),
        ("add_epoch", 0),
        ("callback 0", "epoch", 0, 1, "running", (1, 0, 1)),
        ("callback 1", "epoch", 0, 1, "running", (1, 0, 1)),
        ("add_epoch", 0),
        ("callback 0", "epoch", 0, 2, "running", (2, 0, 1)),
        ("callback 1", "epoch", 0, 2, "running", (2, 0, 1)),
    ]
    assert driver.ledger.record(number).state == "running"


def test_the_report_in_the_ledger_is_the_trials_own(make):
    driver = make()
    for _ in range(2):
        driver.begin()
    driver.start(1)
    driver.epoch(1, 1, 0.25, train_loss=0.75)
    assert driver.ledger.record(0).reports == ()
    (report,) = driver.ledger.record(1).reports
    assert (report.epoch, report.score, report.train_loss, report.ended) == (1, 0.25, 0.75, None)


def test_a_trial_that_goes_on_starts_with_what_the_ledger_knows_of_it(make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.error(number)
    driver.start(number)
    driver.epoch(number, 2)
    first, *_, again, at_epoch = driver.callbacks[0].records
    assert (first.reported_epochs, len(first.failures)) == (0, 0)
    assert (again.reported_epochs, len(again.failures)) == (1, 1)
    assert at_epoch is again


def test_tune_may_also_pass_all_by_position(make):
    driver = make()
    trial = driver.trial(driver.begin())
    driver.recorder.on_trial_start(1, [], trial)
    driver.recorder.on_trial_error(1, [], trial)
    assert [what for who, what, *_ in driver.heard if who == "callback 0"] == ["started", "attempt failed"]


@pytest.mark.parametrize(
    ("reason", "state", "error"),
    [
        ("max_epochs", "complete", None),
        ("early_stopping", "complete", None),
        ("diverged", "failed", "diverged: a loss, score or gradient of epoch 1 is not finite"),
    ],
)
def test_a_trial_that_ends_by_itself_ends_as_its_last_report_says(reason, state, error, make):
    driver = make(callbacks=2)
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1, ended=reason)
    driver.heard.clear()
    driver.complete(number, {"ended": reason})
    told = [
        ("add_segment", 0),
        ("finish", 0),
        ("searcher", "ended", 0),
        ("callback 0", "ended", 0, state, (1, 0, 1)),
        ("callback 1", "ended", 0, state, (1, 0, 1)),
    ]
    assert [entry for entry in driver.heard if entry != ("fail", 0)] == told
    record = driver.callbacks[0].records[-1]
    assert (record.state, record.error) == (state, error)


def test_a_stopped_trial_is_pruned_with_its_last_score(make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1, 0.75)
    driver.epoch(number, 2, 0.25)
    driver.scheduler.stopped.add("tune0")
    driver.heard.clear()
    driver.complete(number, {"ended": None})
    assert driver.heard == [
        ("add_segment", 0),
        ("prune", 0),
        ("searcher", "ended", 0),
        ("callback 0", "ended", 0, "pruned", (2, 0, 1)),
    ]
    assert driver.ledger.frozen_trials()[0].value == 0.25


@pytest.mark.parametrize("kind", ["stopped", "paused"])
def test_an_end_of_its_own_counts_more_than_what_the_scheduler_wanted(kind, make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1, ended="max_epochs")
    getattr(driver.scheduler, kind).add("tune0")
    driver.complete(number, {"ended": "max_epochs"})
    assert driver.state(number) == "complete"


@pytest.mark.parametrize("last_result", [{}, {"ended": None}])
def test_a_trial_that_the_end_of_the_run_cuts_off_stays_running_and_nobody_hears(last_result, make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.pop_evicted = [number]
    driver.scheduler.stopped.add("another")
    driver.scheduler.paused.add("another")
    driver.heard.clear()
    driver.complete(number, last_result)
    assert driver.heard == [("add_segment", 0)]
    assert driver.state(number) == "running"


@pytest.mark.parametrize(("audited", "known"), [({2}, 2), ({4}, None), ({}, None)])
def test_what_the_scheduler_decides_is_in_the_entry_of_the_epoch_also_if_tune_has_not_asked_it(audited, known, make):
    """Tune asks no scheduler once the run is to end. One entry: no kill leaves an epoch without what was decided."""
    driver = make()
    number = driver.begin()
    driver.start(number)

    def decide(controller, trial, result):
        decision = "audit" if result["epoch"] in audited else "continue"
        driver.ledger.decide(trial.config["number"], result["epoch"], decision)

    driver.scheduler.on_trial_result = decide
    driver.heard.clear()
    for epoch in (1, 2, 3):
        driver.epoch(number, epoch)
        assert driver.ledger.record(number).decision == ("audit" if epoch in audited else "continue")
    assert [what for what, *_ in driver.heard if not what.startswith("callback")] == ["add_epoch"] * 3
    assert driver.ledger.record(number).audited == known


def test_a_segment_holds_what_the_epochs_do_not(make):
    """The first epoch ends after 6.1 s, of which it took 1.1; 2 s pass before the second one, and 0.5 after it."""
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.now += 6.1
    driver.epoch(number, 1)
    driver.now += 3.1
    driver.epoch(number, 2)
    driver.now += 0.5
    driver.complete(number)
    (segment,) = driver.ledger.record(number).segments
    assert (segment.start_seconds, segment.wait_seconds) == (pytest.approx(5), pytest.approx(2.5))
    assert (segment.cpus, segment.gpus) == (2, 1)


def test_each_start_of_a_trial_has_a_segment_of_its_own_whatever_its_end(make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.now += 4
    driver.error(number)
    driver.now += 10  # nobody runs it
    driver.start(number)
    driver.now += 3
    driver.complete(number)
    first, second = (Segment(start_seconds=seconds, wait_seconds=0, cpus=2, gpus=1, last_epoch=0) for seconds in (4, 3))
    assert driver.ledger.record(number).segments == (first, second)


def test_a_trial_that_broke_before_it_began_took_nothing(make):
    driver = make()
    number = driver.begin()
    driver.now += 4
    driver.error(number)
    assert driver.ledger.record(number).segments == ()
    assert [what for what, *_ in driver.heard] == ["add_failure", "searcher", "callback 0"]


def test_a_segment_is_written_once(make):
    driver = make()
    number = driver.begin()
    driver.start(number)
    driver.error(number)
    driver.error(number)
    assert len(driver.ledger.record(number).segments) == 1


def test_pruned_trials_end_for_the_searcher_and_for_all_who_watch(make):
    driver = make(callbacks=2)
    for _ in range(3):
        driver.begin()
    driver.recorder.prune((2, 0))
    assert driver.heard == [
        ("prune", 2),
        ("searcher", "ended", 2),
        ("callback 0", "ended", 2, "pruned", (0, 0, 0)),
        ("callback 1", "ended", 2, "pruned", (0, 0, 0)),
        ("prune", 0),
        ("searcher", "ended", 0),
        ("callback 0", "ended", 0, "pruned", (0, 0, 0)),
        ("callback 1", "ended", 0, "pruned", (0, 0, 0)),
    ]
    assert driver.state(1) == "running"


def test_a_watcher_need_not_listen_to_everything(make):
    driver = make()
    driver.recorder.callbacks.insert(0, Callback())
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.error(number)
    driver.scheduler.paused.add("tune0")
    driver.complete(number)
    driver.recorder.prune([number])
    assert [what for who, what, *_ in driver.heard if who == "callback 0"] == [
        "started",
        "epoch",
        "attempt failed",
        "paused",
        "ended",
    ]


def test_tunes_snapshots_of_it_are_empty(make):
    assert vars(copy.copy(make().recorder)) == {}
