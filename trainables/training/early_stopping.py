"""Ends a stage of a training after its last epoch, or early, after `patience` epochs without a better score."""

from __future__ import annotations

from trainables.messages import EpochReport
from trainables.training.trainer import Training


def end_of_stage(history: list[EpochReport], training: Training) -> str | None:
    """Return why the stage of the last epoch ends after it; None if the stage continues."""
    last, stage = history[-1], training.stage
    before = sum(report.stage < last.stage for report in history)
    if last.epoch - before >= stage.epochs:
        return "max_epochs"
    stalled = last.epoch - max(last.best_epoch, before)
    if last.score is not None and stage.scored and stalled >= training.config.training.patience:
        return "early_stopping"
    return None
