"""What the scheduler that stops trials leaves to Tune's ASHA, and what it does itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.scheduling.asha_stopping import AshaStopping
from search.scheduling.false_stops import is_audited
from tests.made.studies import begin, study_settings

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def scheduler_of(ledger=None, *, audit=0.0, **changes):
    return AshaStopping(ledger or Ledger.in_memory(), study_settings(**changes), audit=audit)


def tune_trial(number):
    return SimpleNamespace(trial_id=f"t{number}", config={"number": number})


def tell(scheduler, number, epoch, score, ended=None):
    if epoch == 1:
        scheduler.on_trial_add(None, tune_trial(number))
    return scheduler.on_trial_result(
        None, tune_trial(number), {"epoch": epoch, "score": score, "ended": ended, "other": 1}
    )


def rungs(scheduler):
    return dict(reversed(scheduler._brackets[0]._rungs))


@pytest.mark.parametrize(
    ("grace", "factor", "max_epochs", "expected"), [(1, 3, 9, [1, 3, 9]), (2, 4, 33, [2, 8, 32]), (2, 4, 31, [2, 8])]
)
def test_rungs_begin_at_the_grace_and_are_apart_by_the_factor(grace, factor, max_epochs, expected):
    scheduler = scheduler_of(grace_epochs=grace, reduction_factor=factor, max_epochs=max_epochs)
    assert list(rungs(scheduler)) == expected


@pytest.mark.parametrize(("factor", "stopped"), [(3, {"t1", "t2"}), (2, {"t1"})])
def test_a_trial_below_the_border_of_its_rung_is_stopped(factor, stopped):
    scheduler = scheduler_of(reduction_factor=factor)
    # Before the third, 0.3 and 0.6 are there: two thirds of the way lies 0.5, half of it 0.45.
    decisions = [tell(scheduler, number, 1, score) for number, score in enumerate((0.6, 0.3, 0.47, 0.7))]
    assert decisions == [STOP if f"t{number}" in stopped else GO for number in range(4)]
    assert tell(scheduler, 0, 2, 0.0) == GO  # no rung
    assert scheduler.stopped == stopped


def test_it_pauses_and_promotes_nobody():
    scheduler = scheduler_of()
    for number, score in enumerate((0.6, 0.3)):
        tell(scheduler, number, 1, score)
    assert scheduler.paused == set()
    assert scheduler.waiting == scheduler.pop_evicted() == []
    assert scheduler.promotable is False
    assert scheduler.promote() is scheduler.promote(last=True) is None


@pytest.mark.parametrize(("epoch", "ended"), [(1, "early_stopping"), (9, "max_epochs")])
def test_a_weak_trial_that_ends_by_itself_is_not_stopped(epoch, ended):
    scheduler = scheduler_of()
    for number in range(3):
        tell(scheduler, number, 1, 0.6)
    if epoch > 1:
        tell(scheduler, 3, 1, 0.6)
    assert tell(scheduler, 3, epoch, 0.1, ended) == GO
    assert scheduler.stopped == set()
    assert rungs(scheduler)[1]["3"] == (0.1 if epoch == 1 else 0.6)


def test_a_diverged_trial_enters_no_rung_whatever_it_scored(ledger, space, make_report):
    begin(ledger, space)
    ledger.add_epoch(0, make_report(1, 0.9, ended="diverged"))
    for scheduler in (scheduler_of(), scheduler_of(ledger)):
        assert tell(scheduler, 0, 1, 0.9, "diverged") == GO
        assert rungs(scheduler) == {1: {}, 3: {}, 9: {}}


def test_an_epoch_without_a_score_enters_no_rung(ledger, space, make_report):
    begin(ledger, space)
    ledger.add_epoch(0, make_report(1, None))
    ledger.add_epoch(0, make_report(2, 0.4))
    assert rungs(scheduler_of(ledger)) == {1: {"0": 0.4}, 3: {}, 9: {}}


def test_the_judge_s_score_is_what_enters_a_rung_also_when_rungs_are_rebuilt(ledger, space, make_report):
    live = scheduler_of(rung_metric="best")
    for number, curve in enumerate(((0.4, 0.9, 0.1), (0.5, 0.2, 0.3))):
        begin(ledger, space)
        for epoch, score in enumerate(curve, start=1):
            ended = "early_stopping" if (number, epoch) == (0, 3) else None
            ledger.add_epoch(number, make_report(epoch, score, ended=ended))
            tell(live, number, epoch, score, ended)
    expected = {1: {"0": 0.4, "1": 0.5}, 3: {"0": 0.9, "1": 0.5}, 9: {}}
    assert rungs(live) == rungs(scheduler_of(ledger, rung_metric="best")) == expected


def test_only_the_trials_that_the_study_s_seed_says_are_audited():
    chosen = {seed: [number for number in range(1, 9) if is_audited(seed, number, 1, 0.5)] for seed in (3, 4)}
    assert chosen[3] != chosen[4]
    for seed, audited in chosen.items():
        scheduler = scheduler_of(seed=seed, audit=0.5)
        decisions = [tell(scheduler, number, 1, 0.9 - 0.1 * number) for number in range(9)]
        assert decisions == [GO, *(GO if number in audited else STOP for number in range(1, 9))]
        assert scheduler.audited == dict.fromkeys(audited, 1)
        assert scheduler.stopped == {f"t{number}" for number in range(1, 9) if number not in audited}


def test_without_an_audit_none_runs_on():
    scheduler = AshaStopping(Ledger.in_memory(), study_settings())
    assert [tell(scheduler, number, 1, 0.9 - 0.1 * number) for number in range(9)] == [GO, *[STOP] * 8]
    assert scheduler.audited == {}


def test_overdue_is_only_what_runs_and_was_to_be_stopped_at_its_last_epoch(ledger, space, make_report):
    curves = {0: [0.6, 0.6, 0.6], 1: [0.5], 2: [0.7, 0.7, 0.1], 3: [0.2, 0.2], 4: [0.2], 5: [], 6: [0.9]}
    for number, curve in curves.items():
        begin(ledger, space)
        for epoch, score in enumerate(curve, start=1):
            ledger.add_epoch(number, make_report(epoch, score))
    ledger.prune(4)
    # 1 was weaker than 0, 2 at its second rung; 3 had gone on behind its rung; 4 is told of already.
    assert scheduler_of(ledger).overdue == [1, 2]


def test_a_trial_that_is_over_to_tune_is_forgotten_and_one_it_never_knew_does_no_harm():
    scheduler = scheduler_of()
    for number in range(3):
        tell(scheduler, number, 1, 0.5)
    scheduler.on_trial_complete(None, tune_trial(0), {"epoch": 3, "score": 0.5})
    scheduler.on_trial_error(None, tune_trial(1))
    assert list(scheduler._trial_info) == ["2"]
    scheduler.on_trial_complete(None, tune_trial(0), {"epoch": 3, "score": 0.5})
    scheduler.on_trial_error(None, tune_trial(1))
    assert list(scheduler._trial_info) == ["2"]
    assert rungs(scheduler)[3] == {}  # its last result was told before


def test_tune_s_snapshots_hold_nothing_of_it():
    assert scheduler_of().__getstate__() == {}
