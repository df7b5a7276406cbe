from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.scheduling.asha_stopping import AshaStopping
from tests.made.studies import begin


def tune_trial(number):
    return SimpleNamespace(trial_id=f"t{number}", config={"number": number})


def rungs(scheduler):
    return {milestone: sorted(recorded.values()) for milestone, recorded in scheduler._brackets[0]._rungs}


def result(epoch, score, ended=None):
    return {"epoch": epoch, "score": score, "ended": ended}


def test_the_weak_are_stopped_and_remembered_as_such(ledger, settings):
    scheduler = AshaStopping(ledger, settings)
    decisions = []
    for number, score in enumerate([0.5, 0.6, 0.7, 0.1]):
        scheduler.on_trial_add(None, tune_trial(number))
        decisions.append(scheduler.on_trial_result(None, tune_trial(number), result(1, score)))
    assert decisions == [TrialScheduler.CONTINUE] * 3 + [TrialScheduler.STOP]
    assert scheduler.stopped == {"t3"}


@pytest.mark.parametrize("ended", ["max_epochs", "early_stopping"])
def test_a_trial_that_ends_by_itself_is_not_stopped_but_enters_its_rung(ended, ledger, settings):
    scheduler = AshaStopping(ledger, settings)
    scheduler.on_trial_add(None, tune_trial(0))
    assert scheduler.on_trial_result(None, tune_trial(0), result(4, 0.5, ended)) == TrialScheduler.CONTINUE
    assert rungs(scheduler) == {1: [], 3: [0.5], 9: []}
    assert not scheduler.stopped


def test_a_diverged_trial_ends_by_itself_and_enters_no_rung(ledger, settings):
    scheduler = AshaStopping(ledger, settings)
    scheduler.on_trial_add(None, tune_trial(0))
    decision = scheduler.on_trial_result(None, tune_trial(0), result(1, float("nan"), "diverged"))
    assert decision == TrialScheduler.CONTINUE
    assert rungs(scheduler) == {1: [], 3: [], 9: []}


@pytest.mark.parametrize("orphans", [0, 1])
def test_rungs_are_rebuilt_from_the_ledger(orphans, ledger, settings, space, make_report, tmp_path):
    """A scheduler made in the middle has the rungs of one that saw everything."""
    whole = AshaStopping(ledger, settings)
    curves = {0: [0.3, 0.4, 0.5], 1: [0.5, 0.55, 0.6, 0.65], 2: [0.1]}
    for number, curve in curves.items():
        begin(ledger, space)
        whole.on_trial_add(None, tune_trial(number))
        for epoch, score in enumerate(curve, start=1):
            ledger.add_epoch(number, make_report(epoch, score))
            whole.on_trial_result(None, tune_trial(number), result(epoch, score))
        if number >= orphans:
            ledger.prune(number)

    rebuilt = AshaStopping(Ledger.open(tmp_path / "study"), settings)
    for number in range(orphans):
        rebuilt.on_trial_add(None, tune_trial(number))
    assert rungs(rebuilt) == rungs(whole)
    assert sum(map(len, rungs(whole).values())) == 5


@pytest.mark.parametrize(("score", "overdue"), [(0.2, [3]), (0.8, [])])
def test_a_stop_that_the_ledger_never_heard_of_is_found(score, overdue, ledger, settings, space, make_report, tmp_path):
    """The driver was killed between the epoch's entry and the trial's."""
    for number, value in enumerate([0.5, 0.6, 0.7, score]):
        begin(ledger, space)
        ledger.add_epoch(number, make_report(1, value))
        if number < 3:
            ledger.prune(number)
    assert AshaStopping(Ledger.open(tmp_path / "study"), settings).overdue == overdue


def test_a_trial_that_goes_on_is_the_same_one_in_the_rungs(ledger, settings):
    scheduler = AshaStopping(ledger, settings)
    for tune_id in ("t0", "u0"):
        trial = SimpleNamespace(trial_id=tune_id, config={"number": 0})
        scheduler.on_trial_add(None, trial)
        scheduler.on_trial_result(None, trial, result(1, 0.5))
        scheduler.on_trial_error(None, trial)
    assert rungs(scheduler) == {1: [0.5], 3: [], 9: []}


def test_an_audited_trial_runs_on_and_enters_no_further_rung(ledger, settings):
    scheduler = AshaStopping(ledger, settings, audit=1.0)
    for number, score in enumerate([0.5, 0.6, 0.7, 0.1]):
        scheduler.on_trial_add(None, tune_trial(number))
        assert scheduler.on_trial_result(None, tune_trial(number), result(1, score)) == TrialScheduler.CONTINUE
    assert scheduler.audited == {3: 1}
    assert not scheduler.stopped
    before = rungs(scheduler)
    assert before[1] == [0.1, 0.5, 0.6, 0.7]
    for epoch, ended in ((3, None), (4, "max_epochs")):
        assert scheduler.on_trial_result(None, tune_trial(3), result(epoch, 0.9, ended)) == TrialScheduler.CONTINUE
    assert rungs(scheduler) == before


def test_an_audit_goes_on_with_the_study(ledger, settings, space, make_report, tmp_path):
    for number, score in enumerate([0.5, 0.6, 0.7, 0.1]):
        begin(ledger, space)
        ledger.add_epoch(number, make_report(1, score))
    ledger.mark_audited(3, 1)
    for epoch in (2, 3):
        ledger.add_epoch(3, make_report(epoch, 0.05))
    rebuilt = AshaStopping(Ledger.open(tmp_path / "study"), settings)
    assert rebuilt.overdue == []
    assert rebuilt.audited == {3: 1}
    assert rungs(rebuilt) == {1: [0.1, 0.5, 0.6, 0.7], 3: [], 9: []}
