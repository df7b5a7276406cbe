"""The epoch loop of trials and of the final training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainables import distributed
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.device import default_device, place
from trainables.messages import EpochReport
from trainables.models import build_model
from trainables.prediction.metric import MEAN_IOU, Metric
from trainables.training.checkpoint_store import CheckpointStore, DamagedCheckpoint
from trainables.training.early_stopping import end_of_stage
from trainables.training.evaluation import evaluate
from trainables.training.stages import Stage
from trainables.training.trainer import Training


def epochs(
    config: TrialConfig,
    data: PreparedData,
    *,
    train: np.ndarray,
    validation: np.ndarray | None,
    checkpoints: CheckpointStore | None = None,
    reported_epochs: int = 0,
    micro_batches: int = 1,
    stages: tuple[Stage, ...] | None = None,
    device: torch.device | None = None,
    metric: Metric = MEAN_IOU,
) -> Iterator[EpochReport]:
    """Train and yield one report per epoch. The last report has the reason in `ended`.

    A training may have several stages (`trainables.training.stages`); epochs are counted across them.

    With `checkpoints`, every epoch is saved before it is reported. A later call with the same arguments resumes after
    the last saved epoch, with the same result as an uninterrupted training. `last.pt` holds the state to resume from,
    `best.pt` the weights of the best epoch so far (without validation, of the last epoch), the reports up to it and the
    configuration. An epoch that diverged is never the best. If a file is damaged, missing or of another epoch, and
    cannot be restored from the other, the training starts again.

    Args:
        config: the configuration.
        data: the data set.
        train: (K,) indices of the images to train on.
        validation: (V,) indices of the images that choose the best epoch. None: no validation, so no scores and no
            early stopping, and the plateau schedule monitors the training loss.
        checkpoints: store to save to and to resume from; None: no checkpoints.
        reported_epochs: reports up to this epoch are already known to the caller and not yielded again.
        micro_batches: number of parts that each batch is split into, see `Training`.
        stages: the training stages, instead of those of the configuration.
        device: the device to train on; default: the GPU if there is one.
        metric: the score, which chooses the best epoch and steers early stopping and the plateau schedule.

    Raises:
        ValueError: if the checkpoints are of another configuration, data set or metric.
        StorageError: if a checkpoint cannot be written or read.
    """
    device = device or default_device()
    training = Training(config, data, train, device, micro_batches=micro_batches, stages=stages)
    identity = {"config": config.to_flat(), "data": data.fingerprint, **metric.identity()}
    history: list[EpochReport] = []
    best: dict[str, Any] | None = None  # weights of the best epoch, for later stages that start from them

    checkpoint_seconds = 0.0

    def save_best() -> None:
        if checkpoints is not None and distributed.rank() == 0:
            checkpoints.save(
                "best",
                {
                    "identity": identity,
                    "epoch": history[-1].epoch,
                    "model": training.evaluated.state_dict(),
                    "reports": [report.to_dict() for report in history],
                },
            )

    if checkpoints is not None and (found := _resumable(checkpoints, identity)) is not None:
        history, state, kept = found
        training.begin_stage(history[-1].stage)
        training.load_state_dict(state)
        if kept is not None:
            best = kept["model"]
        elif history[-1].best_epoch:
            best = _copied(training)
            save_best()  # the process ended between writing the two files
        del found, state, kept  # free their memory: they are as large as the model and its optimizer
    yield from (dataclasses.replace(report, restored=True) for report in history if report.epoch > reported_epochs)

    while not history or history[-1].ended is None:
        if history and end_of_stage(history, training) is not None:
            following = training.stages[history[-1].stage]
            training.begin_stage(history[-1].stage + 1, best if following.from_best else None)
        report = dataclasses.replace(
            _run_epoch(training, data, validation, history, metric), checkpoint_seconds=checkpoint_seconds
        )
        history.append(report)
        started = time.perf_counter()
        if report.best_epoch == report.epoch and any(stage.from_best for stage in training.stages[report.stage :]):
            best = _copied(training)
        if checkpoints is not None and distributed.rank() == 0:
            reports = [report.to_dict() for report in history]
            checkpoints.save("last", {"identity": identity, "training": training.state_dict(), "history": reports})
        if report.best_epoch == report.epoch:
            save_best()
        checkpoint_seconds = time.perf_counter() - started
        if report.epoch > reported_epochs:
            yield report


def _resumable(
    checkpoints: CheckpointStore, identity: dict[str, Any]
) -> tuple[list[EpochReport], dict[str, Any], dict[str, Any] | None] | None:
    """Return the reports so far, the training state, and the content of `best.pt` if it is of the best epoch.

    None if training has to start from the first epoch, because there is no checkpoint, or because a file that is needed
    is damaged, missing or of another epoch. The epochs are then repeated, with the same result.

    Raises:
        ValueError: if the checkpoints are of another configuration or data set.
    """
    if (saved := _load(checkpoints, "last")) is None:
        return None
    if saved["identity"] != identity:
        raise ValueError(f"{checkpoints.location}: holds checkpoints of another configuration or data set")
    history = [EpochReport.from_dict(report) for report in saved["history"]]
    kept, last = _load(checkpoints, "best"), history[-1]
    if kept is not None and kept["epoch"] != last.best_epoch:
        kept = None
    if kept is None and last.best_epoch not in (0, last.epoch):
        return None  # the weights of an earlier epoch can only be obtained by training
    return history, saved["training"], kept


def _load(checkpoints: CheckpointStore, name: str) -> dict[str, Any] | None:
    """Return a checkpoint on every rank; None if it is missing or damaged."""
    content = None
    if distributed.rank() == 0:  # only one rank reads: a group that was just stopped may still be writing
        with suppress(DamagedCheckpoint):
            content = checkpoints.load(name)
    return distributed.from_first(content)


def _copied(training: Training) -> dict[str, Any]:
    """Return a copy of the weights that are evaluated."""
    return {name: tensor.clone() for name, tensor in training.evaluated.state_dict().items()}


def _run_epoch(
    training: Training,
    data: PreparedData,
    validation: np.ndarray | None,
    history: list[EpochReport],
    metric: Metric,
) -> EpochReport:
    """Train one epoch, validate if there are validation images, step the schedule, and return the report."""
    epoch = len(history) + 1
    previous = history[-1] if history else None
    trained = training.train_epoch(epoch)
    val_seconds, val_loss, score, mean_iou, class_iou = 0.0, None, None, None, {}
    if validation is not None:
        started = time.perf_counter()
        scores = evaluate(
            training.evaluated,
            data,
            validation,
            device=training.device,
            bf16=training.bf16,
            loss=training.loss,
            metric=metric,
        )
        val_seconds = time.perf_counter() - started
        val_loss, score, mean_iou, class_iou = scores.loss, scores.score, scores.mean_iou, scores.class_iou
    training.schedule.step_epoch(training.stage.watched(trained.loss, score))
    report = EpochReport(
        epoch=epoch,
        train_loss=trained.loss,
        val_loss=val_loss,
        score=score,
        mean_iou=mean_iou,
        class_iou=class_iou,
        best_score=previous.best_score if previous else None,
        best_epoch=previous.best_epoch if previous else 0,
        learning_rate=training.learning_rate,
        gradient_norm=trained.gradient_norm,
        images_per_second=trained.images_per_second,
        train_seconds=trained.seconds,
        val_seconds=val_seconds,
        parameters=training.parameters,
        stage=training.stages.index(training.stage) + 1,
    )
    if not report.is_finite():
        return dataclasses.replace(report, ended="diverged")
    if score is None or report.best_score is None or score > report.best_score:
        report = dataclasses.replace(report, best_score=score, best_epoch=epoch)
    ended = end_of_stage([*history, report], training) if report.stage == len(training.stages) else None
    return dataclasses.replace(report, ended=ended)


@dataclass(frozen=True, kw_only=True)
class SavedBest:
    """The model of a training's best epoch, and the reports that led to it."""

    model: torch.nn.Module
    """In evaluation mode."""
    reports: tuple[EpochReport, ...]
    """Reports up to the epoch of the weights; empty in files of earlier versions."""


def load_best(checkpoints: CheckpointStore, data: PreparedData, device: torch.device) -> torch.nn.Module:
    """Load the model of the best epoch, in evaluation mode; raises what `read_best` raises."""
    return read_best(checkpoints, data, device).model


def read_best(checkpoints: CheckpointStore, data: PreparedData, device: torch.device) -> SavedBest:
    """Load the model of the best epoch, with its reports.

    A training that is still running may have saved an epoch that nobody has been told of yet.

    Raises:
        ValueError: if there is no valid `best.pt`, or the model was trained on other data.
        StorageError: if it cannot be read.
    """
    saved = checkpoints.load("best", device)
    if saved is None:
        raise ValueError(f"{checkpoints.location}: holds no best.pt")
    try:
        identity, weights = saved["identity"], saved["model"]
        trained_on, config = identity["data"], TrialConfig.from_flat(identity["config"])
        reports = tuple(EpochReport.from_dict(report) for report in saved.get("reports", ()))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{checkpoints.location}/best.pt: not a checkpoint of a trial ({error!r})") from error
    if trained_on != data.fingerprint:
        raise ValueError(f"{checkpoints.location}/best.pt: was trained on data other than {data.name}")
    described = data.description
    model = build_model(
        config.model,
        in_channels=data.pixels.channels,
        num_classes=described.num_classes,
        ignored_label=described.ignored_label,
    )
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"{checkpoints.location}/best.pt: holds the weights of another model ({error})") from error
    return SavedBest(model=place(model, device).eval(), reports=reports)
