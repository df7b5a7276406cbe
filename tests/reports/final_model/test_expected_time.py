from __future__ import annotations

import dataclasses

import pytest

from reports.final_model.expected_time import plan_lines, seconds_per_image
from reports.final_model.retrain_plan import retrain_plan
from reports.prediction.scoring import suitable_flips
from search.formatting import duration
from trainables.data import PreparedData

DEFAULTS = {"submits": True, "retrains": True, "checks": False, "onnx": False, "budget": None}


@pytest.fixture
def timed(facts):
    """Epochs of the best trial take 200 s for 20 images, and 6 s of validation for 2: 10 s and 3 s an image."""
    reports = tuple(dataclasses.replace(report, train_seconds=200.0, val_seconds=6.0) for report in facts.best.reports)
    return facts.with_record(dataclasses.replace(facts.best, reports=reports))


def test_the_speed_is_that_of_the_search(timed):
    each = seconds_per_image(timed)
    assert (each.training, each.prediction) == (10.0, 3.0)


def test_each_step_has_its_time_and_the_sum_is_that_of_all(timed):
    flips, epochs = suitable_flips(timed), retrain_plan(timed, timed.best.number).epochs
    lines = plan_lines(timed, [0, 1], **DEFAULTS | {"checks": True, "onnx": True})
    choosing, predicting = 3 * (2 * (1 + flips) * 2 + 2 * flips), 3 * 70 * flips
    assert lines == [
        "this report will:",
        "  choose members, flips and decision with the weights of trials 0000, 0001 on 2 images, and score on 2: about "
        + duration(choosing),
        f"  shadow retraining: {epochs} epochs on 22 images: about {duration(10 * 22 * epochs)}",
        f"  final training: {epochs} epochs on all 24 labelled images: about {duration(10 * 24 * epochs)}",
        f"  predict 70 images: about {duration(predicting)}",
        f"  write {timed.output / 'model'}, with its ONNX file: up to a few minutes",
        f"  in all about {duration(choosing + 10 * 46 * epochs + predicting)}, at the speed of the search",
    ]


def test_a_time_budget_is_the_time_of_the_trainings(timed):
    lines = plan_lines(timed, [0], **DEFAULTS | {"budget": 7200.0})
    assert lines[2] == "  train within the time budget: a longer finalist, and the final training if there is time"
    assert lines[-1].startswith("  in all about 2 h 00 min")


def test_what_is_left_out_is_not_planned(timed):
    assert len(plan_lines(timed, [0], **DEFAULTS | {"submits": False})) == 4
    assert [line for line in plan_lines(timed, [0], **DEFAULTS | {"retrains": False}) if "training" in line] == []


def test_without_a_test_set_nothing_is_predicted(timed, monkeypatch):
    monkeypatch.setattr(PreparedData, "unlabelled", None)
    assert [line for line in plan_lines(timed, [0], **DEFAULTS) if "predict " in line] == []
