"""What fine-tuning adds, in a sentence under the tables of the reports."""

from __future__ import annotations

import pytest

from reports.output.systems_comparison import SystemRun, rows_of, second_stage_sentence
from tests.made.records import trial_record
from tests.made.studies import epoch_report
from tests.reports.made_runs import scores

TUNED = {"second_stage.name": "frozen_encoder"}


def run(curve, config, system="b-finetuned") -> SystemRun:
    """One of a system whose epochs had these (score, stage)."""
    reports = tuple(epoch_report(epoch, score, stage=stage) for epoch, (score, stage) in enumerate(curve, start=1))
    record = trial_record(params={"system": system, "training.seed": 0}, config=config, reports=reports)
    return SystemRun(record=record, suppressed=scores(0.5), as_predicted=scores(0.5))


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        ([(0.30, 1), (0.50, 1), (0.40, 1), (0.56, 2), (0.45, 2)], "+6.00"),  # .56 - .50, not .45 - .40 or .56 - .40
        ([(0.50, 1), (0.40, 1), (0.42, 2), (0.44, 2)], "-6.00"),  # not the best of all, which would be +0
        ([(None, 1), (0.25, 1), (None, 2), (0.255, 2)], "+0.50"),
        ([(None, 1), (None, 1), (0.2, 2)], "+20.00"),
    ],
)
def test_a_gain_is_the_best_epoch_over_the_best_epoch_of_the_first_stage(curve, points):
    assert second_stage_sentence(rows_of([run(curve, TUNED)])) == (
        f"The second stage adds {points} points on average to the first stage of the same run, best epoch against best "
        "epoch (validation, 1 runs); the better of the two is kept."
    )


def test_gains_are_averaged_over_the_fine_tuned_runs_of_all_systems():
    runs = [
        run([(0.5, 1), (0.6, 2)], TUNED),
        run([(0.5, 1), (0.52, 2)], TUNED),
        run([(0.5, 1), (0.47, 2)], TUNED, system="b-attention"),
    ]
    # (10 + 2 - 3) / 3
    assert "adds +3.00 points on average" in second_stage_sentence(rows_of(runs))
    assert "(validation, 3 runs)" in second_stage_sentence(rows_of(runs))


@pytest.mark.parametrize(
    ("curve", "config"),
    [
        ([(0.5, 1), (0.6, 1)], TUNED),  # it ended before its second stage began
        ([(0.5, 1), (0.6, 2)], {}),  # its second stage is the terrain network of a pair
        ([(0.5, 1), (0.6, 2)], {"second_stage.name": "none"}),
    ],
)
def test_a_run_that_was_not_fine_tuned_is_not_counted(curve, config):
    assert second_stage_sentence(rows_of([run(curve, config)])) == ""
    both = [run(curve, config), run([(0.5, 1), (0.51, 2)], TUNED)]
    assert "adds +1.00 points on average" in second_stage_sentence(rows_of(both))
    assert "1 runs" in second_stage_sentence(rows_of(both))


def test_without_runs_there_is_no_sentence():
    assert second_stage_sentence([]) == ""
