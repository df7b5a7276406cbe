from __future__ import annotations

import pytest

from search.audit import audit, is_audited
from search.ledger import Ledger
from tests.studies import begin, study_settings


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
    assert low == pytest.approx(0.2077, abs=1e-4)  # Wilson score interval of 2 in 3, by hand
    assert high == pytest.approx(0.9385, abs=1e-4)
    assert "of 3 trials that ASHA was to stop and that ran on, 2 (67%, 95 % interval 21% to 94%)" in found.sentence()
    assert "would have cost 0.0500 of mean IoU" in found.sentence()


def test_good_stops_cost_nothing(study):
    found = audit(study((0.5, False), (0.3, True)), study_settings())
    assert (found.wrong, found.winners, found.lost) == (0, 0, 0)


def test_a_pause_is_no_stop_when_a_promotion_would_have_followed(study):
    """Of four trials in the rung one is promoted: the best, which was paused when it was the only one."""
    records = study((0.7, True), (0.5, False), (0.2, True), (0.1, False))
    by_promotion = audit(records, study_settings(asha="promotion"))
    assert (by_promotion.count, by_promotion.wrong) == (1, 0)
    by_stopping = audit(records, study_settings())
    assert (by_stopping.count, by_stopping.wrong) == (2, 1)


@pytest.mark.parametrize("trials", [[], [(0.5, False)], [(0.5, True)], [(None, False), (0.4, True)]])
def test_without_both_kinds_there_is_nothing_to_compare(trials, study):
    assert audit(study(*trials), study_settings()) is None


def test_the_choice_is_random_in_proportion_and_the_same_every_time():
    chosen = [is_audited(7, number, 0.25) for number in range(2000)]
    assert chosen == [is_audited(7, number, 0.25) for number in range(2000)]
    assert chosen != [is_audited(8, number, 0.25) for number in range(2000)]
    assert 0.2 < sum(chosen) / 2000 < 0.3
    assert not any(is_audited(0, number, 0.0) for number in range(100))
    assert all(is_audited(0, number, 1.0) for number in range(100))
