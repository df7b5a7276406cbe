"""The epoch loop over scores that a test states: which epoch is the best, and where stages and trials end."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.made.scripted_training import TRAIN_SECONDS, VAL_SECONDS, Script
from trainables.config import TrialConfig
from trainables.messages import EpochReport
from trainables.prediction.metric import Metric
from trainables.training import resumable_training as loop
from trainables.training.resumable_training import epochs
from trainables.training.stages import Stage

DATA = SimpleNamespace(fingerprint="content-0", name="scripted")
TRAIN, VALIDATION = np.arange(8), np.arange(8, 10)
STAGES = (Stage(name="main", epochs=1, lr=0.1),)


@pytest.fixture
def run(monkeypatch):
    """The reports of a trial with these scores, and the script that they came from."""

    def run(scores=(), flat=None, *, validation=VALIDATION, script=None, **arguments):
        script = script or Script(scores)
        script.use(monkeypatch)
        config = TrialConfig.from_flat({f"training.{name}": value for name, value in (flat or {}).items()})
        if "config" in arguments:
            config = arguments.pop("config")
        reports = list(epochs(config, DATA, train=TRAIN, validation=validation, **arguments))
        return reports, script

    return run


def staged(patience, max_epochs=10, background="none", fraction=0.5):
    """Half of the epochs have a second stage with a frozen encoder; before it comes a background network, if any."""
    second = {} if fraction is None else {"second_stage.name": "frozen_encoder", "second_stage.fraction": fraction}
    training = {"training.max_epochs": max_epochs, "training.patience": patience}
    return TrialConfig.from_flat(training | {"model.background": background, "optimizer.lr": 0.4} | second)


@pytest.mark.parametrize(
    ("patience", "max_epochs", "scores", "best_epochs", "ended"),
    [
        (1, 9, [0.1, 0.2, 0.2], [1, 2, 2], "early_stopping"),  # an equal score is not better
        (2, 9, [0.3, 0.3, 0.3], [1, 1, 1], "early_stopping"),
        (2, 9, [0.1, 0.3, 0.2, 0.3], [1, 2, 2, 2], "early_stopping"),
        (2, 9, [0.3, 0.2, 0.4, 0.1, 0.1], [1, 1, 3, 3, 3], "early_stopping"),  # better in the last epoch of patience
        (3, 9, [0.3, 0.1, 0.2, 0.29], [1, 1, 1, 1], "early_stopping"),  # better than the last, but not than the best
        (2, 9, [0.0, 0.0, 0.0], [1, 1, 1], "early_stopping"),
        (9, 4, [0.1, 0.2, 0.3, 0.25], [1, 2, 3, 3], "max_epochs"),
        (2, 3, [0.3, 0.2, 0.1], [1, 1, 1], "max_epochs"),  # both at once
        (1, 1, [0.3], [1], "max_epochs"),
        (2, 5, [0.1, 0.2, 0.3, 0.2, 0.4], [1, 2, 3, 3, 5], "max_epochs"),
    ],
)
def test_the_best_epoch_has_the_highest_score_and_patience_counts_from_it(
    patience, max_epochs, scores, best_epochs, ended, run
):
    reports, _ = run([*scores, 1.0], {"patience": patience, "max_epochs": max_epochs})
    assert [report.epoch for report in reports] == list(range(1, len(scores) + 1))
    assert [report.score for report in reports] == scores
    assert [report.best_epoch for report in reports] == best_epochs
    assert [report.best_score for report in reports] == [scores[best - 1] for best in best_epochs]
    assert [report.ended for report in reports] == [None] * (len(scores) - 1) + [ended]


@pytest.mark.parametrize(
    ("patience", "first", "second", "ended"),
    [
        (2, [0.5, 0.4, 0.3], [0.2, 0.1], "early_stopping"),  # counted from the second stage's start
        (3, [0.5, 0.4, 0.3, 0.2], [0.1, 0.1, 0.1], "early_stopping"),
        (2, [0.5, 0.4, 0.5], [0.6, 0.5, 0.6], "early_stopping"),  # counted from the best epoch in it
        (2, [0.5, 0.4, 0.3], [0.1, 0.6, 0.2, 0.1], "early_stopping"),
        (3, [0.5, 0.4, 0.3, 0.2], [0.1, 0.6, 0.7, 0.8, 0.9], "max_epochs"),  # its own five epochs
        (9, [0.1, 0.5, 0.4, 0.3, 0.2], [0.1, 0.1, 0.1, 0.1, 0.1], "max_epochs"),
        (5, [0.5, 0.4, 0.3, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1, 0.1], "max_epochs"),
    ],
)
def test_a_second_stage_has_patience_and_epochs_of_its_own(patience, first, second, ended, run):
    reports, script = run(first + second + [1.0], config=staged(patience))
    assert [report.stage for report in reports] == [1] * len(first) + [2] * len(second)
    assert [report.ended for report in reports] == [None] * (len(first + second) - 1) + [ended]
    assert [number for number, _ in script.training.begun] == [1, 2]


def test_a_second_stage_starts_from_the_best_epochs_weights(run):
    _, script = run([0.1, 0.5, 0.4, 0.3, 0.2, 0.1], config=staged(patience=2))
    assert script.training.begun == [(1, None), (2, 12)]
    assert int(script.training.evaluated.path) == 1256


def test_without_scores_a_second_stage_starts_from_the_last_epochs_weights(run):
    reports, script = run(config=staged(patience=1, max_epochs=4), validation=None)
    assert script.training.begun == [(1, None), (2, 12)]
    assert [report.ended for report in reports] == [None, None, None, "max_epochs"]


def test_networks_trained_one_after_the_other_go_on_from_the_last_epoch(run):
    """4 epochs of the background network, though the score falls, then the terrain network with all its patience."""
    config = staged(patience=2, max_epochs=8, background="sequential", fraction=None)
    reports, script = run([0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 1.0], config=config)
    assert script.training.begun == [(1, None), (2, None)]
    assert [report.stage for report in reports] == [1, 1, 1, 1, 2, 2]
    assert [report.best_epoch for report in reports] == [1] * 6
    assert reports[-1].ended == "early_stopping"
    assert int(script.training.evaluated.path) == 123456


def test_of_three_stages_the_last_starts_from_the_best_epoch_of_all(run):
    config = staged(patience=2, max_epochs=8, background="sequential")  # 2, 2 and 4 epochs
    reports, script = run([0.1, 0.5, 0.2, 0.3, 0.2, 0.6, 0.1, 0.1], config=config)
    assert [report.stage for report in reports] == [1, 1, 2, 2, 3, 3, 3, 3]
    assert script.training.begun == [(1, None), (2, None), (3, 12)]
    assert int(script.training.evaluated.path) == 125678


def test_stages_of_one_epoch_each_follow_one_another(run):
    config = staged(patience=2, max_epochs=3, background="sequential", fraction=0.3)
    reports, script = run([0.5, 0.4, 0.6], config=config)
    assert [report.stage for report in reports] == [1, 2, 3]
    assert script.training.begun == [(1, None), (2, None), (3, 1)]
    assert [report.ended for report in reports] == [None, None, "max_epochs"]


def test_the_schedule_is_told_the_score_or_minus_the_loss_where_none_judges_what_is_trained(run):
    config = staged(patience=9, max_epochs=4, background="sequential", fraction=None)
    _, script = run([0.5, 0.4, 0.3, 0.2], config=config)
    assert script.training.told == [-1.0, -2.0, 0.3, 0.2]
    _, script = run(flat={"max_epochs": 3}, validation=None)
    assert script.training.told == [-1.0, -2.0, -3.0]


def test_without_validation_nothing_is_scored_and_no_patience_runs_out(run):
    reports, script = run(flat={"max_epochs": 4, "patience": 1}, validation=None)
    assert script.evaluations == []
    assert [report.best_epoch for report in reports] == [1, 2, 3, 4]
    assert [report.ended for report in reports] == [None, None, None, "max_epochs"]
    for report in reports:
        assert (report.val_loss, report.score, report.class_iou, report.best_score) == (None, None, {}, None)
        assert report.val_seconds == 0.0


NAN, INFINITE = math.nan, math.inf


@pytest.mark.parametrize(
    "measured",
    [
        {"losses": [1.0, NAN]},
        {"losses": [1.0, INFINITE]},
        {"gradient_norms": [0.5, INFINITE]},
        {"gradient_norms": [0.5, NAN]},
        {"val_losses": [0.5, INFINITE]},
        {"val_losses": [0.5, NAN]},
        {"scores": [0.5, NAN]},
    ],
)
@pytest.mark.parametrize("max_epochs", [2, 9])
@pytest.mark.parametrize("second_stage", [False, True])
def test_a_trial_with_a_number_that_is_not_finite_has_diverged(second_stage, max_epochs, measured, run):
    """In whichever stage, and also in what would be its last epoch."""
    script = Script(**{"scores": [0.5, 0.6]} | measured)
    config = staged(9, max_epochs + 2 if second_stage else max_epochs, fraction=0.5 if second_stage else None)
    reports, _ = run(config=config, script=script)
    assert [report.ended for report in reports] == [None, "diverged"]
    assert (reports[1].best_score, reports[1].best_epoch) == (0.5, 1)


@pytest.mark.parametrize("validation", [VALIDATION, None])
def test_without_an_epoch_that_did_not_diverge_there_is_no_best_epoch(validation, run):
    (report,), _ = run(script=Script([0.5], losses=[NAN]), validation=validation)
    assert (report.best_score, report.best_epoch, report.ended) == (None, 0, "diverged")


def test_a_report_tells_what_was_measured(run):
    reports, _ = run([0.3, 0.2, 0.4], config=staged(patience=5, max_epochs=3, fraction=0.3))
    assert reports[1] == EpochReport(
        epoch=2,
        train_loss=2.0,
        val_loss=0.25,
        score=0.2,
        mean_iou=0.2,
        class_iou={"soil": 0.2},
        best_score=0.3,
        best_epoch=1,
        learning_rate=0.1,  # 0.4, halved after epochs 1 and 2
        gradient_norm=0.5,
        images_per_second=100.0,
        train_seconds=TRAIN_SECONDS,
        val_seconds=VAL_SECONDS,
        parameters=42,
        checkpoint_seconds=0.0,
        stage=1,
        ended=None,
    )
    assert reports[2].learning_rate == 1.5e-4  # the second stage's 3e-4, halved
    assert (reports[2].stage, reports[2].ended) == (2, "max_epochs")


def test_what_is_trained_and_what_is_scored(run, monkeypatch):
    monkeypatch.setattr(loop, "default_device", lambda: torch.device("meta"))
    config = TrialConfig.from_flat({"training.max_epochs": 1})
    metric = Metric.parse("dice")
    for device, used in ((None, torch.device("meta")), (torch.device("cpu"), torch.device("cpu"))):
        _, script = run([0.5], config=config, device=device, micro_batches=3, stages=STAGES, metric=metric)
        training = script.training
        made_of = training.made_of
        assert made_of[:2] == (config, DATA)
        assert made_of[2] is TRAIN
        assert made_of[3:] == (used, {"micro_batches": 3, "stages": STAGES})
        (evaluation,) = script.evaluations
        assert evaluation == {
            "model": training.evaluated,
            "data": DATA,
            "indices": VALIDATION,
            "device": used,
            "bf16": training.bf16,
            "loss": training.loss,
            "metric": metric,
        }
    _, script = run([0.5], config=config)
    assert script.training.made_of[4] == {"micro_batches": 1, "stages": None}


def test_reports_that_are_known_are_not_given_again(run):
    """Also where the checkpoints of their epochs are lost, so that they are trained again."""
    reports, script = run([0.1, 0.2, 0.3], {"max_epochs": 3}, reported_epochs=2)
    assert [report.epoch for report in reports] == [3]
    assert int(script.training.evaluated.path) == 123
