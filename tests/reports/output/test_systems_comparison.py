from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reports.output.systems_comparison import (
    Spread,
    SystemRun,
    boost,
    boost_sentence,
    differences,
    rows_of,
    second_stage_sentence,
)
from search.ledger.records import TrialRecord
from tests.made.studies import epoch_report
from trainables.training.evaluation import Scores


def scores(mean_iou: float) -> Scores:
    return Scores(
        score=mean_iou, mean_iou=mean_iou, class_iou={"soil": mean_iou}, confusion=np.zeros((5, 5)), loss=float("nan")
    )


def run(system: str, suppressed: float, as_predicted: float, *, seed: int = 0, epochs: int = 3) -> SystemRun:
    record = TrialRecord(
        number=0,
        state="complete",
        params={"system": system, "training.seed": seed},
        config={},
        reports=tuple(epoch_report(epoch) for epoch in range(1, epochs + 1)),
        failures=(),
        segments=(),
        audited=None,
        error=None,
        started=None,
        ended=None,
    )
    return SystemRun(record=record, suppressed=scores(suppressed), as_predicted=scores(as_predicted))


RUNS = [
    run("b-unet3", 0.52, 0.45, seed=0, epochs=3),
    run("a-ce", 0.60, 0.40),
    run("a-ce-ignoring", 0.64, 0.63),
    run("b-unet3", 0.56, 0.47, seed=1, epochs=6),
    run("b-unet2", 0.50, 0.41),
]


def test_a_row_gathers_its_seeds_in_the_order_of_the_reports():
    rows = rows_of(RUNS)
    assert [row.system.name for row in rows] == ["a-ce", "a-ce-ignoring", "b-unet2", "b-unet3"]
    x = rows[-1]
    assert x.suppressed.mean == pytest.approx(0.54)
    assert x.suppressed.deviation == pytest.approx(np.std([0.52, 0.56], ddof=1))
    assert x.suppressed.percent() == "54.00 ± 2.83"
    assert x.epochs == 4.5
    assert x.seconds == pytest.approx(4.5 * 1.1)
    assert x.published == "52.26 local test, 47.76 leaderboard"
    assert x.class_iou("soil") == pytest.approx(0.54)
    assert x.class_percent("soil") == "54.0"
    assert x.class_iou("never seen") is None
    assert x.class_percent("never seen") == "none"


def test_one_seed_has_no_deviation():
    assert Spread.of([0.5]) == Spread(mean=0.5, deviation=None)
    assert Spread.of([0.5]).percent() == "50.00"


def test_effects_compare_what_was_run_in_the_reports_own_kind_of_score():
    found = {effect.claim: points for effect, points in differences(rows_of(RUNS))}
    assert found == {
        "ignoring class 0 beats not ignoring it": pytest.approx(23),  # as predicted: .63 against .40
        "3 blocks beat 2": pytest.approx(4),  # suppressed: .54 against .50
    }


def test_the_boost_is_of_the_systems_that_learn_the_ignored_class():
    rows = rows_of(RUNS)
    assert boost(rows) == (3, pytest.approx(100 * (0.20 + 0.09 + 0.08) / 3))
    assert "adds 12.3 points on average to the 3 systems" in boost_sentence(rows)
    assert boost([row for row in rows if row.system.name == "a-ce-ignoring"]) is None


def test_a_system_counts_once_in_the_boost_whatever_its_seeds():
    """Means of (20 + 30) / 2 and of 5: 15, where the three runs would make 18.3. A loss lowers it."""
    runs = [run("a-ce", 0.6, 0.4), run("a-ce", 0.7, 0.4, seed=1), run("b-aspp", 0.5, 0.45)]
    assert boost(rows_of(runs)) == (2, pytest.approx(15))
    assert boost(rows_of([run("a-ce", 0.4, 0.42)])) == (1, pytest.approx(-2))
    assert boost_sentence(rows_of([run("a-ce-ignoring", 0.4, 0.2)])) == ""
    assert boost_sentence(rows_of(runs)) == (
        "Never predicting the ignored class adds 15.0 points on average to the 2 systems that learn it, without "
        "another step of training: that much of the reports' significant boost comes from the score, not from the "
        "model."
    )


def test_a_difference_is_better_minus_worse_over_all_seeds_and_may_be_negative():
    runs = [
        run("b-finetuned", 0.50, 0.9),
        run("b-attention", 0.60, 0.1),
        run("b-attention", 0.64, 0.1, seed=1),
        run("b-unet3", 0.52, 0.2),
    ]
    assert [(effect.claim, points) for effect, points in differences(rows_of(runs))] == [
        ("ASPP + attention at least equal x", pytest.approx(10)),
        ("the second stage is not worse than the first", pytest.approx(-12)),
    ]
    assert differences(rows_of(runs[:1])) == differences([]) == []


def test_a_second_stage_is_compared_with_its_own_first():
    def tuned(seed, curve):
        reports = tuple(epoch_report(epoch, score, stage=stage) for epoch, (score, stage) in enumerate(curve, start=1))
        plain = run("b-finetuned", 0.5, 0.5, seed=seed)
        record = dataclasses.replace(plain.record, reports=reports, config={"second_stage.name": "frozen_encoder"})
        return dataclasses.replace(plain, record=record)

    runs = [tuned(0, [(0.3, 1), (0.5, 1), (0.4, 1), (0.55, 2), (0.45, 2)]), tuned(1, [(0.6, 1), (0.57, 2)])]
    assert "The second stage adds +1.00 points on average" in second_stage_sentence(rows_of(runs))
    assert "2 runs" in second_stage_sentence(rows_of(runs))
    assert second_stage_sentence(rows_of(RUNS)) == ""


def test_scores_are_not_shared_between_kinds():
    changed = dataclasses.replace(RUNS[1], as_predicted=scores(0.1))
    (row,) = rows_of([changed])
    assert (row.suppressed.mean, row.as_predicted.mean) == (0.60, 0.1)
