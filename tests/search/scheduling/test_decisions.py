"""A driver that resumes a study decides as one that was never killed: it remembers, and decides nothing twice."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from search.ledger.ledger import Ledger
from search.scheduling.asha_promotion import AshaPromotion
from search.scheduling.asha_stopping import AshaStopping
from search.scheduling.false_stops import is_audited
from search.scheduling.schedulers import SCHEDULERS, scheduler_for
from tests.made.histories import BREAKS, Killed, Life
from tests.made.studies import begin, epoch_report, study_settings


class Study:
    """A ledger and its scheduler, in the order in which the driver asks and writes."""

    def __init__(self, ledger, space, *, audit=0.0, **changes):
        self.ledger, self.space, self.settings = ledger, space, study_settings(**changes)
        self.scheduler = scheduler_for(ledger, self.settings, audit=audit)

    def begin(self, count):
        for _ in range(count):
            number = begin(self.ledger, self.space).number
            self.scheduler.on_trial_add(None, SimpleNamespace(trial_id=f"t{number}", config={"number": number}))

    def epoch(self, number, epoch, score, ended=None):
        trial = SimpleNamespace(trial_id=f"t{number}", config={"number": number})
        report = epoch_report(epoch, score, ended=ended)
        self.scheduler.on_trial_result(None, trial, report.to_dict())
        self.ledger.add_epoch(number, report)
        return self.ledger.record(number).decision

    def resumed(self, *, audit=0.0):
        """The scheduler of the next driver."""
        return scheduler_for(Ledger(self.ledger.storage, self.ledger.study.study_name), self.settings, audit=audit)


def test_a_trial_that_went_on_from_a_rung_is_not_stopped_for_what_others_reported_later(ledger, space):
    """Trial 1 was alone in the rung when it came, trial 0 came later and was better."""
    study = Study(ledger, space, grace_epochs=3)
    study.begin(2)
    assert [study.epoch(1, epoch, score) for epoch, score in ((1, 0.3), (2, 0.3), (3, 0.4))] == ["continue"] * 3
    assert [study.epoch(0, epoch, score) for epoch, score in ((1, 0.5), (2, 0.6), (3, 0.7))] == ["continue"] * 3
    resumed = study.resumed()
    assert resumed.overdue == []
    assert dict(resumed._brackets[0]._rungs)[3] == {"0": 0.7, "1": 0.4}


def test_a_promoted_trial_does_not_wait_again_because_better_ones_reported_later(ledger, space):
    study = Study(ledger, space, scheduler="asha-promotion", max_epochs=27, grace_epochs=3)
    study.begin(7)
    assert [study.epoch(number, 3, score) for number, score in enumerate((0.5, 0.4, 0.3))] == ["pause"] * 3
    assert study.scheduler.promote() == 0
    assert study.resumed().waiting == [0, 1, 2]  # nothing was written since: it is promoted again
    assert study.resumed().promote() == 0
    assert [study.epoch(number, 3, score) for number, score in ((3, 0.6), (4, 0.7), (5, 0.8), (6, 0.9))] == [
        "continue",
        "continue",
        "continue",
        "continue",
    ]
    resumed = study.resumed()
    assert resumed.waiting == study.scheduler.waiting == [1, 2]
    assert (resumed.overdue, resumed.pop_evicted(), resumed.promote()) == ([], [], None)
    assert resumed.rungs == study.scheduler.rungs


def test_a_promotion_is_known_when_a_trial_has_begun_after_it(ledger, space):
    study = Study(ledger, space, scheduler="asha-promotion")
    study.begin(3)
    for number, score in enumerate((0.5, 0.4, 0.3)):
        study.epoch(number, 1, score)
    assert study.scheduler.promote() == 0
    study.begin(1)
    assert ledger.record(3).promoted == ((0, 1),)
    assert study.resumed().waiting == [1, 2]
    study.epoch(0, 3, 0.5)
    assert ledger.record(0).promoted == ()  # told once
    assert study.resumed().waiting == [0, 1, 2]  # it was promoted from the rung before


def test_a_paused_trial_that_was_to_end_is_ended_by_the_next_driver(ledger, space):
    """The fifth that waits besides the best: decided when another one paused, which is written before its end is."""
    study = Study(ledger, space, scheduler="asha-promotion", reduction_factor=9, max_epochs=10)
    study.begin(6)
    assert [study.epoch(number, 1, 0.1 * number) for number in range(6)] == ["pause"] * 6
    assert [ledger.record(number).ends for number in range(6)] == [(), (), (), (), (0,), (1,)]
    assert study.scheduler.waiting == [0, 1, 2, 3, 4, 5]  # they are running ones of the ledger until then
    ledger.prune(1)
    resumed = study.resumed()
    assert (resumed.overdue, resumed.waiting, resumed.pop_evicted()) == ([0], [2, 3, 4, 5], [])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_audit_is_drawn_with_the_decision_and_not_again(scheduler, ledger, space):
    """Trial 2 is drawn, the others are not: also if a later run audits all or none."""
    assert [is_audited(6, number, 1, 0.5) for number in range(3)] == [False, False, True]
    study = Study(ledger, space, scheduler=scheduler, seed=6, audit=0.5)
    study.begin(3)
    held = {"asha-promotion": "pause", "asha-stopping": "stop"}[scheduler]
    study.epoch(0, 1, 0.9)
    assert [study.epoch(number, 1, 0.3) for number in (1, 2)] == [held, "audit"]
    assert study.resumed(audit=0.0).audited == {2: 1}  # also when nothing follows it yet
    assert study.epoch(2, 2, 0.3) == "continue"
    for fraction in (0.0, 0.5, 1.0):
        resumed = study.resumed(audit=fraction)
        assert resumed.audited == {2: 1}
        assert (resumed.overdue, 1 in resumed.waiting) == (
            ([], True) if scheduler == "asha-promotion" else ([1], False)
        )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_audit_that_is_known_before_its_epoch_is_drawn_when_the_epoch_comes(scheduler, ledger, space):
    """Earlier versions wrote it first, and a kill may have come between."""
    study = Study(ledger, space, scheduler=scheduler, audit=1.0)
    study.begin(2)
    study.epoch(0, 1, 0.9)
    ledger.mark_audited(1, 1)
    later = Study(ledger, space, scheduler=scheduler, audit=1.0)
    assert 1 not in later.scheduler.audited
    assert later.epoch(1, 1, 0.3) == "audit"
    assert later.scheduler.audited[1] == ledger.record(1).audited == 1


@pytest.mark.parametrize(("ended", "times"), [("early_stopping", 1), ("max_epochs", 1), ("diverged", 0)])
def test_who_asks_twice_of_an_epoch_hears_the_same_and_changes_nothing(ended, times, ledger, space):
    """Tune does, when the function of a trial returns."""
    study = Study(ledger, space, scheduler="asha-promotion", rung_metric="ema")
    study.begin(1)
    study.epoch(0, 1, 0.3)
    result = epoch_report(3, 0.6, ended=ended).to_dict()
    trial = SimpleNamespace(trial_id="t0", config={"number": 0})
    assert [study.scheduler.on_trial_result(None, trial, result) for _ in range(2)] == ["CONTINUE"] * 2
    assert study.scheduler.rungs[3] == [pytest.approx((-0.45, 0))] * times


class FirstRung:
    """Trials side by side that report at the first rung and train on: 0.00, 0.07, 0.14, 0.21, 0.04 and so on."""

    slots, audit, max_failures = 24, 0.0, 0
    settings = study_settings(scheduler="asha-promotion", max_epochs=27, rung_metric="best")
    scores = tuple(7 * number % 24 / 100 for number in range(24))

    def report(self, number, epoch):
        return epoch_report(epoch, self.scores[number])

    def breaks(self, number, epoch, failures):
        return None

    def next(self, step, running):
        return min(running)


def test_those_that_were_interrupted_at_a_rung_and_are_among_its_best_go_on(tmp_path):
    first = Life(tmp_path, FirstRung(), 24, interrupted=lambda step: True)
    assert first.run() is False
    assert all(record.decision in ("pause", "continue") for record in first.ledger.records())
    best = {number for number, score in enumerate(FirstRung.scores) if score >= 0.16}
    assert len(best) == 8
    assert not best & {record.number for record in first.ledger.records() if record.state == "pruned"}

    later = Life(tmp_path, FirstRung(), 24, interrupted=lambda step: False)
    later.recorder.settle()
    later.fill()
    assert best <= set(later.trials)
    went_on = {record.number for record in later.ledger.records() if record.decision == "continue"}
    assert set(later.trials) == best | went_on


def test_a_ledger_without_decisions_lets_the_best_of_a_rung_go_on_and_keeps_four_that_wait(ledger, space):
    for number in range(24):
        begin(ledger, space)
        ledger.add_epoch(number, epoch_report(1, 0.3 + 0.01 * number))
    assert ledger.record(0).decision is None
    scheduler = AshaPromotion(ledger, study_settings(scheduler="asha-promotion", max_epochs=27))
    assert sorted(scheduler.pop_evicted()) == list(range(12))
    assert [scheduler.promote() for _ in range(9)] == [23, 22, 21, 20, 19, 18, 17, 16, None]
    assert scheduler.waiting == [12, 13, 14, 15]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_ledger_without_decisions_has_its_audits_drawn_and_written_when_it_is_resumed(scheduler, tmp_path):
    """Trials 1 to 3 were interrupted at the rung; which of them run on is a draw of the study's seed."""
    history = SimpleNamespace(settings=study_settings(scheduler=scheduler, seed=2), slots=4, audit=0.5, max_failures=0)
    study = Life(tmp_path, history, 4, interrupted=lambda step: False)
    study.fill()
    for number, score in enumerate((0.9, 0.1, 0.1, 0.1)):
        study.ledger.add_epoch(number, epoch_report(1, score))
    drawn = {number: 1 for number in (1, 2, 3) if is_audited(2, number, 1, 0.5)}
    assert 0 < len(drawn) < 3
    for _ in range(2):
        later = Life(tmp_path, history, 4, interrupted=lambda step: False)
        later.recorder.settle()
        assert later.scheduler.audited == drawn
        records = later.ledger.records()
        assert {record.number: record.audited for record in records if record.audited is not None} == drawn
        others = [records[number] for number in (1, 2, 3) if number not in drawn]
        assert {record.state for record in others} == {"running" if scheduler == "asha-promotion" else "pruned"}


def test_what_other_trials_reported_later_does_not_stop_one_of_a_ledger_that_says_nothing_twice(ledger, space):
    """As before: a ledger of an earlier version is decided trial by trial."""
    for number, scores in enumerate(([0.7], [0.2])):
        begin(ledger, space)
        for epoch, score in enumerate(scores, start=1):
            ledger.add_epoch(number, epoch_report(epoch, score))
    assert AshaStopping(ledger, study_settings()).overdue == [1]


def _killed(*arguments):
    raise Killed


@pytest.mark.parametrize("kind", ["error", "out_of_memory"])
def test_a_trial_that_was_not_to_be_retried_fails_when_the_study_is_resumed(kind, tmp_path):
    """Killed after the failure was written, and before the trial's end was."""
    history: Any = FirstRung()
    killed = Life(tmp_path, history, 1, interrupted=lambda step: False)
    killed.ledger.fail = _killed
    for _ in range({"error": 1, "out_of_memory": 2}[kind]):  # a batch of two images is tried in parts of one first
        killed.fill()
        with suppress(Killed):
            killed.breaks(0, kind)
    assert (killed.ledger.record(0).state, killed.ledger.record(0).failures[-1].final) == ("running", True)

    later = Life(tmp_path, history, 1, interrupted=lambda step: False)
    later.recorder.settle()
    assert later.ledger.record(0).state == "failed"
    assert later.ledger.record(0).error.endswith(BREAKS[kind].strip())
    assert later.searcher.to_resume == []
