"""What becomes of paused trials: while the study runs, at its end, and after an interruption."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.scheduling.asha_promotion import AshaPromotion
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.recorder import Recorder
from search.tuning.run_end import Stopping
from tests.made.recording import Driver
from tests.made.studies import epoch_report, study_settings


@pytest.fixture
def driver(tmp_path):
    return Driver(tmp_path, callbacks=2)


def begun(driver, count):
    for _ in range(count):
        number = driver.begin()
        driver.start(number)
        driver.epoch(number, 1)
    driver.heard.clear()


def test_a_paused_trial_stays_running_in_the_ledger_and_all_hear_that_it_waits(driver):
    begun(driver, 1)
    driver.scheduler.paused.add("tune0")
    driver.complete(0, {"ended": None})
    assert driver.heard == [
        ("add_segment", 0),
        ("callback 0", "paused", 0, "running", (1, 0, 1)),
        ("callback 1", "paused", 0, "running", (1, 0, 1)),
    ]
    assert len(driver.callbacks[0].records[-1].segments) == 1


def test_at_a_pause_those_without_hope_are_pruned(driver):
    begun(driver, 4)
    driver.scheduler.paused.add("tune3")
    driver.scheduler.waiting = [0, 1, 2, 3]
    driver.pop_evicted = [2, 0]
    driver.complete(3)
    assert driver.heard[3:] == [
        ("prune", 2),
        ("searcher", "ended", 2),
        ("callback 0", "ended", 2, "pruned", (1, 0, 1)),
        ("callback 1", "ended", 2, "pruned", (1, 0, 1)),
        ("prune", 0),
        ("searcher", "ended", 0),
        ("callback 0", "ended", 0, "pruned", (1, 0, 1)),
        ("callback 1", "ended", 0, "pruned", (1, 0, 1)),
    ]
    assert [driver.state(number) for number in range(4)] == ["pruned", "running", "pruned", "running"]


def test_at_no_other_end_are_they(driver):
    begun(driver, 3)
    driver.pop_evicted = [2]
    driver.epoch(0, 2, ended="max_epochs")
    driver.complete(0, {"ended": "max_epochs"})
    driver.scheduler.stopped.add("tune1")
    driver.complete(1)
    assert [driver.state(number) for number in range(3)] == ["complete", "pruned", "running"]


def test_when_no_trial_runs_any_more_those_that_wait_end(driver):
    begun(driver, 3)
    driver.scheduler.waiting = [0, 2]
    driver.recorder.end_waiting()
    assert [entry for entry in driver.heard if entry[0] in ("prune", "searcher")] == [
        ("prune", 0),
        ("searcher", "ended", 0),
        ("prune", 2),
        ("searcher", "ended", 2),
    ]
    assert [driver.state(number) for number in range(3)] == ["pruned", "running", "pruned"]


@pytest.mark.parametrize("exit_code", [0, 1])
def test_they_go_on_waiting_when_the_study_is_to_go_on_later(exit_code, driver):
    begun(driver, 2)
    driver.scheduler.waiting = [0, 1]
    driver.stopping.stop("interrupted", exit_code)
    driver.recorder.end_waiting()
    assert driver.heard == []
    assert [driver.state(number) for number in range(2)] == ["running"] * 2


class Numbered:
    """Proposes nothing but a new number."""

    def propose(self, number, waiting=()):
        return Proposal(params={}, distributions={}, config={"training.batch_size": 8, "number": number})


class Run:
    """One run of a study by promotion, whose trials report what the test says."""

    def __init__(self, ledger, budget):
        self.stopping = Stopping()
        self.scheduler = AshaPromotion(ledger, study_settings(scheduler="asha-promotion"))
        self.searcher = LedgerSearcher(ledger, Numbered(), self.scheduler, budget=budget, stopping=self.stopping)
        meter = Meter({"CPU": 1}, clock=lambda: 0.0)
        arguments = (ledger, self.searcher, self.scheduler, self.stopping, meter, [])
        self.recorder = Recorder(*arguments, max_failures=0)

    def step(self, epoch, score):
        """The next trial starts, reports once, and pauses if it is to; returns its number."""
        request = self.searcher.suggest("next")
        trial = SimpleNamespace(trial_id=f"{request['number']}-{epoch}", config=request, last_result={"ended": None})
        self.recorder.on_trial_start(1, [], trial)
        report = epoch_report(epoch, score).to_dict()
        decision = self.scheduler.on_trial_result(None, trial, report)
        self.recorder.on_trial_result(1, [], trial, report)
        if decision == "STOP":
            self.recorder.on_trial_complete(1, [], trial)
        return request["number"]


def test_what_waited_when_a_run_was_interrupted_waits_in_the_next_one_until_it_is_promoted():
    """Rungs after epochs 1 and 3, the best third goes on: with two trials none, with a third one the best of them."""
    ledger = Ledger.in_memory()
    run = Run(ledger, budget=2)
    assert [run.step(1, score) for score in (0.5, 0.7)] == [0, 1]
    run.stopping.stop("interrupted", 130)
    run.recorder.end_waiting()
    assert [record.state for record in ledger.records()] == ["running"] * 2

    later = Run(ledger, budget=4)
    assert (later.searcher.to_resume, later.searcher.remaining) == ([], 2)
    assert later.scheduler.waiting == [0, 1]
    assert later.step(1, 0.6) == 2
    assert later.step(3, 0.8) == 1  # promoted, and paused at the next rung
    assert later.scheduler.waiting == [0, 1, 2]
    later.recorder.end_waiting()
    assert [record.state for record in ledger.records()] == ["pruned"] * 3
    assert [record.reported_epochs for record in ledger.records()] == [1, 3, 1]
