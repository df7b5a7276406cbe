"""Messages between the driver and a trial: the request that starts it, and its epoch reports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """Results of one epoch. Scores are on the validation part, None without one (final training on all images)."""

    epoch: int
    """Number of the epoch in the trial, counted from 1 and across resumes."""
    train_loss: float
    """Mean over the epoch's steps."""
    val_loss: float | None
    """Mean over the pixels of the validation part that the training loss does not leave out."""
    score: float | None
    """The study's metric, in [0, 1]: `mean_iou`, or another that the user chose."""
    mean_iou: float | None
    """Mean of `class_iou`, in [0, 1]."""
    class_iou: dict[str, float]
    """IoU by name of each scored class that the validation part holds, in [0, 1]."""
    best_score: float | None
    """Highest `score` of the epochs so far that did not diverge; None without one, or without validation."""
    best_epoch: int
    """Epoch of `best_score`; without validation, the last one that did not diverge. 0 if there is none."""
    learning_rate: float
    """Learning rate at the end of the epoch."""
    gradient_norm: float
    """L2 norm of the gradient before clipping, mean over the epoch's steps."""
    images_per_second: float
    """Training throughput, without the time of validation and checkpoints."""
    train_seconds: float
    val_seconds: float
    parameters: int
    """Number of parameters of the model."""
    checkpoint_seconds: float = 0.0
    """Time spent on saving checkpoints after the previous epoch."""
    start_seconds: float | None = None
    """Seconds from the start of a worker group until this epoch began, or until it was reported if it is `restored`, in
    the group's first report; else None."""
    stage: int = 1
    """Training stage of the epoch, counted from 1."""
    ended: str | None = None
    """Why the trial ends after this epoch: "max_epochs", "early_stopping" or "diverged"; None if it continues."""

    restored: bool = False
    """Whether an earlier process of the trial trained and saved the epoch, but ended before it could report it."""

    @property
    def diverged(self) -> bool:
        return self.ended == "diverged"

    def is_finite(self) -> bool:
        """Return whether the losses, the gradient norm and the score are finite. If not, training has diverged."""
        steering = (self.train_loss, self.gradient_norm, self.val_loss, self.score)
        return all(value is None or math.isfinite(value) for value in steering)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochReport:
        """Build a report from a dict, the inverse of `to_dict`. Other keys, such as those from Tune, are ignored."""
        values = upgraded(values)
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values of a report that may be of an earlier version, in which the score was always the mean IoU."""
    if "score" in values or "mean_iou" not in values:
        return values
    return {**values, "score": values["mean_iou"], "best_score": values.get("best_mean_iou")}


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """Request of the driver to run a trial."""

    number: int
    """Number of the trial in its study."""
    config: dict[str, Any]
    """Configuration in the flat form of `TrialConfig`."""
    reported_epochs: int = 0
    """Number of epochs already in the ledger. A resumed trial reports only later ones."""
    micro_batches: int = 1
    """Number of parts that each batch is split into, computed one after the other to save memory."""


Loop = Callable[[TrialRequest], Iterator[EpochReport]]
"""A training loop: takes the request of a trial and yields one report per epoch."""
