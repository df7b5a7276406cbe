"""Where the borders of ASHA's rungs are, and what a rung keeps: of the scheduler that promotes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.scheduling.asha_promotion import AshaPromotion
from search.scheduling.false_stops import is_audited
from tests.made.studies import begin, study_settings

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def scheduler_of(ledger=None, *, audit=0.0, **changes):
    settings = study_settings(scheduler="asha-promotion", **changes)
    return AshaPromotion(ledger or Ledger.in_memory(), settings, audit=audit)


def tell(scheduler, number, epoch, score, ended=None):
    trial = SimpleNamespace(trial_id=f"t{number}", config={"number": number})
    return scheduler.on_trial_result(None, trial, {"epoch": epoch, "score": score, "ended": ended})


@pytest.mark.parametrize(
    ("grace", "factor", "max_epochs", "rungs"),
    [(1, 3, 9, [1, 3]), (2, 3, 18, [2, 6]), (2, 3, 19, [2, 6, 18]), (2, 4, 33, [2, 8, 32]), (5, 2, 5, [])],
)
def test_rungs_begin_at_the_grace_and_end_before_the_last_epoch(grace, factor, max_epochs, rungs):
    scheduler = scheduler_of(grace_epochs=grace, reduction_factor=factor, max_epochs=max_epochs)
    assert list(scheduler.rungs) == rungs


def test_a_trial_is_promoted_whenever_the_rung_has_grown_by_the_factor():
    scheduler, promoted = scheduler_of(), []
    for number, score in enumerate((0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)):
        assert tell(scheduler, number, 1, score) == STOP
        promoted.append((scheduler.promote(), scheduler.promote()))
    nobody = (None, None)
    assert promoted == [nobody, nobody, (0, None), nobody, nobody, (1, None), nobody, nobody, (2, None)]


@pytest.mark.parametrize(("score", "decision"), [(0.85, GO), (0.75, STOP)])
def test_the_sixth_of_a_rung_goes_on_at_once_if_it_is_one_of_the_best_two(score, decision):
    scheduler = scheduler_of()
    for number, other in enumerate((0.9, 0.8, 0.5, 0.4, 0.3)):
        tell(scheduler, number, 1, other)
    assert tell(scheduler, 5, 1, score) == decision
    assert (5 in scheduler.waiting) == (decision == STOP)
    assert ("t5" in scheduler.paused) == (decision == STOP)


def test_of_equal_trials_the_one_with_the_smaller_number_is_better():
    scheduler = scheduler_of()
    assert [tell(scheduler, number, 1, 0.5) for number in (2, 1, 3)] == [STOP] * 3
    assert scheduler.promote() == 1
    assert tell(scheduler, 4, 1, 0.5) == STOP
    assert tell(scheduler, 0, 1, 0.5) == GO
    assert scheduler.rungs[1] == [(-0.5, number) for number in range(5)]


def test_a_lower_rung_has_its_turn_where_no_trial_of_the_higher_one_is_among_its_best():
    scheduler = scheduler_of()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        tell(scheduler, number, 1, score)
    assert scheduler.promote() == 0
    assert tell(scheduler, 0, 3, 0.9) == STOP  # alone in its rung
    for number in (3, 4, 5):
        tell(scheduler, number, 1, 0.1)
    assert scheduler.waiting == [0, 1, 2, 3, 4, 5]
    assert scheduler.promote() == 1
    assert scheduler.promote() is None
    assert scheduler.promote(last=True) == 0
    assert scheduler.promote(last=True) is None  # the best of each rung are on their way
    assert not scheduler.promotable


def test_when_no_new_trial_follows_a_rung_still_promotes_as_many_as_it_would():
    scheduler = scheduler_of()
    for number in range(6):
        tell(scheduler, number, 1, 0.9 - 0.1 * number)
    assert [scheduler.promote(last=True) for _ in range(3)] == [0, 1, None]


def test_each_rung_keeps_its_four_best_that_wait():
    scheduler = scheduler_of(reduction_factor=10, max_epochs=1000)
    assert list(scheduler.rungs) == [1, 10, 100]
    for number, score in enumerate((0.5, 0.9, 0.5, 0.7)):
        tell(scheduler, number, 1, score)
        tell(scheduler, 10 + number, 10, score)
    assert scheduler.pop_evicted() == []
    tell(scheduler, 4, 1, 0.8)
    tell(scheduler, 14, 10, 0.1)
    assert scheduler.pop_evicted() == [2, 14]  # of equal ones the one that came first stays
    assert scheduler.waiting == [0, 1, 3, 4, 10, 11, 12, 13]


@pytest.mark.parametrize("slot", [True, False])
def test_the_same_trials_end_whether_a_slot_is_free_for_the_promoted_ones_or_not(slot):
    """Each is weaker than those before. With seven, two are among the best and four wait, which leaves out the last."""
    scheduler, promoted, ended = scheduler_of(max_epochs=27), [], []
    for number in range(12):
        assert tell(scheduler, number, 1, 0.9 - 0.01 * number) == STOP
        ended.append(scheduler.pop_evicted())
        if slot and (found := scheduler.promote()) is not None:
            promoted.append(found)
    while (found := scheduler.promote()) is not None:
        promoted.append(found)
    assert ended == [[]] * 6 + [[6], [7], [], [9], [10], []]
    assert promoted == [0, 1, 2, 3]
    assert scheduler.waiting == [4, 5, 8, 11]


def test_a_weak_trial_that_ends_by_itself_at_a_rung_enters_it_and_waits_for_nothing():
    scheduler = scheduler_of()
    for number in range(3):
        tell(scheduler, number, 1, 0.5)
    assert tell(scheduler, 3, 1, 0.1, "early_stopping") == GO
    assert (-0.1, 3) in scheduler.rungs[1]
    assert scheduler.waiting == [0, 1, 2]
    assert scheduler.paused == {"t0", "t1", "t2"}
    assert scheduler.stopped == set()


def test_a_diverged_trial_enters_no_rung_whatever_it_scored():
    scheduler = scheduler_of()
    assert tell(scheduler, 0, 1, 0.9, "diverged") == GO
    assert scheduler.rungs == {1: [], 3: []}
    assert scheduler.waiting == []


def test_only_the_trials_that_the_study_s_seed_says_are_audited():
    # By `is_audited`, of which each run repeats the choice; other seeds choose others.
    chosen = {seed: [number for number in range(8) if is_audited(seed, number, 1, 0.5)] for seed in (3, 4)}
    assert chosen[3] != chosen[4]
    for seed, audited in chosen.items():
        scheduler = scheduler_of(seed=seed, audit=0.5, reduction_factor=9, max_epochs=10)
        decisions = [tell(scheduler, number, 1, 0.5) for number in range(8)]
        assert decisions == [GO if number in audited else STOP for number in range(8)]
        assert scheduler.audited == dict.fromkeys(audited, 1)
        assert scheduler.waiting == [number for number in range(8) if number not in audited]


def test_only_running_trials_whose_last_epoch_is_a_rung_wait_in_a_rebuilt_scheduler(ledger, space, make_report):
    scores = {0: [0.9, 0.9, 0.9], 1: [0.8, 0.8], 2: [0.7], 3: [0.6], 4: [0.5], 5: [], 6: [None], 7: [0.4]}
    for number, curve in scores.items():
        begin(ledger, space)
        for epoch, score in enumerate(curve, start=1):
            ledger.add_epoch(number, make_report(epoch, score))
    ledger.prune(3)
    ledger.fail(4, "boom")
    scheduler = scheduler_of(ledger)
    assert scheduler.waiting == [0, 2, 7]
    assert scheduler.rungs == {
        1: [(-0.9, 0), (-0.8, 1), (-0.7, 2), (-0.6, 3), (-0.5, 4), (-0.4, 7)],
        3: [(-0.9, 0)],
    }
    assert scheduler.promote() is None  # of six the best two have gone on already
    assert scheduler.promote(last=True) == 0  # from the rung of epoch 3
    assert scheduler.paused == scheduler.stopped == set()  # nothing of this run's
    assert scheduler.overdue == []


def test_what_a_trial_scored_when_it_diverged_is_not_rebuilt(ledger, space, make_report):
    begin(ledger, space)
    ledger.add_epoch(0, make_report(1, 0.9, ended="diverged"))
    ledger.fail(0, "diverged")
    assert scheduler_of(ledger).rungs == {1: [], 3: []}


def test_tune_s_snapshots_hold_nothing_of_it():
    assert scheduler_of().__getstate__() == {}
