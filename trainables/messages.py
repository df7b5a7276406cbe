"""What a trial is asked for, and what it reports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One epoch. Scores are of the validation part, and None where a run has none (the final training on all data)."""

    epoch: int
    """Counted from 1 over the trial's whole life, also across resumes."""
    train_loss: float
    val_loss: float | None
    mean_iou: float | None
    """Mean over the scored classes of `class_iou`, in [0, 1]."""
    class_iou: dict[str, float]
    """IoU of each scored class; a class that is neither in the masks nor predicted has none and is absent."""
    best_mean_iou: float | None
    best_epoch: int
    learning_rate: float
    """At the end of the epoch."""
    gradient_norm: float
    """Mean over the epoch's steps of the gradient's L2 norm before clipping."""
    images_per_second: float
    """Training images; validation and checkpoints not counted."""
    train_seconds: float
    val_seconds: float
    parameters: int
    """Of the model."""
    checkpoint_seconds: float = 0.0
    """Of the checkpoints after the epoch before."""
    stage: int = 1
    """Stage of the training that the epoch belongs to, counted from 1."""
    ended: str | None = None
    """Why the trial ends with this epoch: "max_epochs", "early_stopping", "diverged"; None while it continues."""

    @property
    def diverged(self) -> bool:
        return self.ended == "diverged"

    def is_finite(self) -> bool:
        """Whether training still makes sense: every number that steers it is finite."""
        steering = (self.train_loss, self.gradient_norm, self.val_loss, self.mean_iou)
        return all(value is None or math.isfinite(value) for value in steering)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochReport:
        """The inverse of `to_dict`; other keys, such as those that Tune adds, are passed over."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """What the search asks of a trial."""

    number: int
    """The trial's number in its study."""
    config: dict[str, Any]
    """Its configuration in the flat form of `TrialConfig`."""
    reported_epochs: int = 0
    """Epochs that the ledger already knows: a resumed trial reports those after them."""
    micro_batches: int = 1
    """Parts of a batch that are computed one after the other, to spare memory."""


Loop = Callable[[TrialRequest], Iterator[EpochReport]]
