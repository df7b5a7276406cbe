from __future__ import annotations

import functools

import pytest
from scipy import stats

from search.ledger.ledger import Ledger
from search.scheduling.false_stops import audit, is_audited
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.studies import begin, epoch_report, study_settings


@pytest.fixture
def study(ledger, space, make_report, tmp_path):
    """Trials with these scores, some of them audited; a None is stopped."""

    def make(*trials):
        for score, audited in trials:
            number = begin(ledger, space).number
            ledger.add_epoch(number, make_report(1, score or 0.1))
            if audited:
                ledger.mark_audited(number, 1)
            if score is None:
                ledger.prune(number)
            else:
                ledger.complete(number)
        return Ledger.open(tmp_path / "study").records()

    return make


def test_it_says_how_often_stopping_was_wrong_and_what_it_would_have_cost(study):
    found = audit(
        study((0.5, False), (0.6, False), (0.7, False), (0.65, True), (0.2, True), (0.75, True), (None, False)),
        study_settings(),
    )
    assert (found.count, found.wrong, found.winners) == (3, 2, 1)
    assert found.lost == pytest.approx(0.05)
    low, high = found.interval
    assert low == pytest.approx(0.0943, abs=1e-4)  # exact interval of 2 in 3, from a table
    assert high == pytest.approx(0.9916, abs=1e-4)
    assert "of 3 trials that ASHA would have stopped, 2 (67%, 95 % interval 9% to 99%)" in found.sentence()
    assert "would have cost 0.0500 mean IoU" in found.sentence()


def test_its_sentence_says_all_of_it(study):
    found = audit(study((0.5, False), (0.6, False), (0.7, True), (0.3, True)), study_settings())
    assert found.sentence() == (
        "False-stop audit: of 2 trials that ASHA would have stopped, 1 (50%, 95 % interval 1% to 99%) ended "
        "above the median of those that it let finish, and 1 above the best; stopping them would have cost 0.1000 "
        "mean IoU."
    )


def test_of_an_even_number_of_trials_the_median_is_between_the_two_in_the_middle(study):
    """It is 0.5 of 0.2, 0.4, 0.6 and 0.9; one of the four audited trials is above it, and none above the best."""
    others = ((0.4, False), (0.9, False), (0.2, False), (0.6, False))
    found = audit(study(*others, (0.45, True), (0.5, True), (0.55, True), (0.1, True)), study_settings())
    assert (found.count, found.wrong, found.winners, found.lost) == (4, 1, 0, 0.0)
    assert found.interval == pytest.approx((0.006309, 0.805880), abs=1e-6)  # exact interval of 1 in 4


@pytest.mark.parametrize(
    ("score", "wrong", "winners", "lost"),
    [(0.5, 0, 0, 0.0), (0.5625, 1, 0, 0.0), (0.625, 1, 0, 0.0), (0.75, 1, 1, 0.125)],
    ids=["the median itself", "between", "the best itself", "better than the best"],
)
def test_one_that_is_as_good_as_another_is_not_above_it(score, wrong, winners, lost, study):
    found = audit(study((0.25, False), (0.5, False), (0.625, False), (score, True)), study_settings())
    assert (found.wrong, found.winners, found.lost) == (wrong, winners, lost)


def test_the_best_of_the_audited_trials_says_what_was_lost(study):
    found = audit(study((0.5, False), (0.75, True), (0.625, True), (0.25, True)), study_settings())
    assert (found.wrong, found.winners, found.lost) == (2, 2, 0.25)


def test_only_trials_that_ran_to_their_end_with_a_score_are_compared(ledger, study, space, make_report):
    """What was stopped or failed, still runs or never scored counts on neither side."""
    study((0.5, False), (0.625, True))
    ways = [("prune",), ("fail", "a bug"), None]
    for audited in (True, False):
        for way in ways:
            number = begin(ledger, space).number
            ledger.add_epoch(number, make_report(1, 0.9))
            if audited:
                ledger.mark_audited(number, 1)
            if way is not None:
                getattr(ledger, way[0])(number, *way[1:])
        number = begin(ledger, space).number
        ledger.add_epoch(number, make_report(1, None))
        if audited:
            ledger.mark_audited(number, 1)
        ledger.complete(number)
    found = audit(ledger.records(), study_settings())
    assert (found.count, found.wrong, found.winners, found.lost) == (1, 1, 1, 0.125)


def diverge(ledger, space, make_report, scores):
    """An audited trial with these scores, the first of them at a rung, and a last epoch that diverged."""
    number = begin(ledger, space).number
    for epoch, score in enumerate(scores, start=1):
        ledger.add_epoch(number, make_report(epoch, score))
        if epoch == 1:
            ledger.mark_audited(number, 1)
    ledger.add_epoch(number, make_report(len(scores) + 1, float("nan"), ended="diverged"))
    ledger.finish(number)


def test_a_trial_that_ran_on_and_diverged_is_one_that_was_rightly_stopped(ledger, study, space, make_report):
    """It counts, also if it was better than all others before: 1 in 4, not 1 in 1."""
    study((0.5, False), (0.6, False), (0.58, True))
    for scores in ([0.3], [0.3, 0.4], [0.3, 0.9]):
        diverge(ledger, space, make_report, scores)
    found = audit(ledger.records(), study_settings())
    assert (found.count, found.wrong, found.winners, found.lost) == (4, 1, 0, 0.0)
    assert found.interval == pytest.approx((0.006309, 0.805880), abs=1e-6)  # exact interval of 1 in 4


def test_where_every_trial_that_ran_on_diverged_stopping_was_never_wrong(ledger, study, space, make_report):
    study((0.5, False))
    diverge(ledger, space, make_report, [0.9])
    found = audit(ledger.records(), study_settings())
    assert (found.count, found.wrong, found.winners, found.lost) == (1, 0, 0, 0.0)
    assert found.sentence().startswith("False-stop audit: of 1 trials that ASHA would have stopped, 0 (0%,")


def test_a_trial_that_broke_before_it_reported_says_nothing(ledger, study, space):
    study((0.5, False), (0.4, True))
    ledger.fail(begin(ledger, space).number, "a bug")
    assert audit(ledger.records(), study_settings()).count == 1


@pytest.fixture
def promotion(ledger, space, make_report):
    """An audit under promotion of trials given as (scores of their epochs, epoch after which one was to pause)."""

    def make(*trials, **changes):
        for scores, audited in trials:
            number = begin(ledger, space).number
            for epoch, score in enumerate(scores, start=1):
                ledger.add_epoch(number, make_report(epoch, score))
            if audited is not None:
                ledger.mark_audited(number, audited)
            ledger.complete(number)
        return audit(ledger.records(), study_settings(scheduler="asha-promotion", **changes))

    return make


@pytest.mark.parametrize(
    ("rung", "factor", "promoted"),
    [
        ([0.1], 3, False),  # of two trials none is promoted
        ([0.1, 0.2], 3, True),  # one of three
        ([0.1, 0.6], 3, False),
        ([0.1, 0.2, 0.3, 0.6], 3, False),  # second of five: one is promoted
        ([0.1, 0.2, 0.3, 0.4, 0.6], 3, True),  # second of six: two are
        ([0.1, 0.2, 0.3, 0.7, 0.6], 3, False),
        ([0.1, 0.5], 3, True),  # as good as the best
        ([0.1], 2, True),
        ([0.1, 0.2, 0.3], 4, True),
        ([0.1, 0.2], 4, False),
    ],
)
def test_a_trial_would_have_gone_on_if_it_is_among_the_best_of_its_rung_now(rung, factor, promoted, promotion):
    """It had 0.5 in the rung after epoch 1 and ended with 0.95. Another one, alone in a rung after epoch 2, counts in
    any case."""
    others = [([score], None) for score in rung]
    found = promotion(*others, ([0.5, 0.95], 1), ([None, 0.0], 2), reduction_factor=factor)
    assert found.count == (1 if promoted else 2)


def test_a_rung_holds_who_reported_a_score_at_its_epoch_and_was_not_left_out_before(promotion):
    """The first one has 0.5 in the rung after epoch 2, the best of three there, so that it would have gone on."""
    found = promotion(
        ([0.1, 0.5, 0.5], 2),
        ([0.9, 0.2], None),
        ([0.9, 0.3, 0.9], 2),  # in the rung itself, at which it was to pause
        ([0.9], None),  # ended before
        ([0.9, None, 0.9], None),  # no score at that epoch
        ([0.9, 0.9], 1),  # runs on from an earlier rung: it enters no other
    )
    # The last one is as good as the best of six in the rung after epoch 1, of which two go on.
    assert found.count == 1  # the one with 0.3, second of three


def test_a_diverged_epoch_is_in_no_rung(ledger, space, make_report, study):
    study((0.5, True), (0.1, False))
    third = begin(ledger, space).number
    ledger.add_epoch(third, make_report(1, 0.2, ended="diverged"))
    ledger.finish(third)
    found = audit(ledger.records(), study_settings(scheduler="asha-promotion"))
    assert found.count == 1  # of two trials none is promoted; of three the best would have been


@pytest.mark.parametrize(
    ("rung_metric", "count"),
    [
        ("last", 1),  # 0.3 against 0.5 and 0.1: second
        ("best", 0),  # 0.9 against 0.8 and 0.1: first
        ("ema", 0),  # 0.6 against 0.45 and 0.1: first
    ],
)
def test_a_rung_compares_what_the_study_judges_by(rung_metric, count, promotion):
    """All epochs up to the rung's are judged, those without a score left out, and none after it."""
    found = promotion(
        ([0.9, None, 0.3, 0.0], 3),
        ([0.8, 0.0, 0.5, 0.99], None),
        ([0.1, 0.1, 0.1], None),
        rung_metric=rung_metric,
    )
    assert (found.count if found else 0) == count


def test_good_stops_cost_nothing(study):
    found = audit(study((0.5, False), (0.3, True)), study_settings())
    assert (found.wrong, found.winners, found.lost) == (0, 0, 0)


def test_a_pause_is_no_stop_when_a_promotion_would_have_followed(study):
    """Of four trials in the rung one is promoted: the best, which was paused when it was the only one."""
    records = study((0.7, True), (0.5, False), (0.2, True), (0.1, False))
    by_promotion = audit(records, study_settings(scheduler="asha-promotion"))
    assert (by_promotion.count, by_promotion.wrong) == (1, 0)
    by_stopping = audit(records, study_settings())
    assert (by_stopping.count, by_stopping.wrong) == (2, 1)


@pytest.mark.parametrize("trials", [[], [(0.5, False)], [(0.5, True)], [(None, False), (0.4, True)]])
def test_without_both_kinds_there_is_nothing_to_compare(trials, study):
    assert audit(study(*trials), study_settings()) is None


def test_the_choice_is_random_in_proportion_and_the_same_every_time():
    chosen = [is_audited(7, number, 1, 0.25) for number in range(2000)]
    assert chosen == [is_audited(7, number, 1, 0.25) for number in range(2000)]
    assert chosen != [is_audited(8, number, 1, 0.25) for number in range(2000)]
    assert 0.2 < sum(chosen) / 2000 < 0.3
    assert [number for number in range(24) if chosen[number]] == [
        2,
        3,
        5,
        9,
        10,
        13,
        15,
        16,
        17,
    ]  # a resumed study draws the same
    assert not any(is_audited(0, number, 1, 0.0) for number in range(100))
    assert all(is_audited(0, number, 1, 1.0) for number in range(100))


def test_a_trial_that_is_promoted_may_be_audited_at_a_higher_rung():
    """Each rung draws anew: of those that one rung leaves out, the next one audits the same share."""
    left = [number for number in range(4000) if not is_audited(7, number, 2, 0.25)]
    assert sum(is_audited(7, number, 6, 0.25) for number in left) / len(left) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("count", [5, 20, 60])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.3, 0.5])
def test_the_interval_covers_the_true_rate_in_at_least_95_of_100_studies(count, rate, made_audit):
    covering = [
        wrong for wrong in range(count + 1) if made_audit(count, wrong)[0] <= rate <= made_audit(count, wrong)[1]
    ]
    assert sum(stats.binom.pmf(wrong, count, rate) for wrong in covering) >= 0.95


@pytest.fixture(scope="module")
def made_audit():
    """The interval of an audit of so many trials, of which so many were stopped wrongly."""

    @functools.cache
    def make(count, wrong):
        ledger, space = Ledger.in_memory(), unet_space(PROFILES["cpu"])
        for number, score in enumerate([0.5] + [0.6] * wrong + [0.4] * (count - wrong)):
            begin(ledger, space)
            ledger.add_epoch(number, epoch_report(1, score))
            if number > 0:
                ledger.mark_audited(number, 1)
            ledger.complete(number)
        found = audit(ledger.records(), study_settings(scheduler="asha-stopping"))
        assert (found.count, found.wrong) == (count, wrong)
        return found.interval

    return make
