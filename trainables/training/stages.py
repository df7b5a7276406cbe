"""The stages of a training: what each trains, for how long, and from where."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from trainables.config import TrialConfig
from trainables.models import BackgroundPair, Model


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One after the other, each with an optimizer and a learning-rate schedule of its own."""

    name: str
    """background, terrain (each network of a pair alone), main (all that there is) or frozen_encoder."""
    epochs: int
    """At most: early stopping may end it before."""
    lr: float
    from_best: bool = False
    """Whether it starts from the best epoch so far, not from the last."""
    rates: tuple[float, ...] | None = None
    """Learning rates to follow, each for an equal part of the stage's steps; None: the configuration's schedule."""

    @property
    def scored(self) -> bool:
        """Whether the score judges what this stage trains: without, it neither ends early nor lowers its rate."""
        return self.name != "background"

    def watched(self, train_loss: float, mean_iou: float | None) -> float:
        """What the schedule is told after an epoch, higher is better: the score, or the loss where none judges it."""
        return -train_loss if mean_iou is None or not self.scored else mean_iou

    def frozen(self, model: Model) -> list[nn.Module]:
        """The parts that keep their weights and batch statistics."""
        if self.name == "frozen_encoder":
            return model.encoders()
        if isinstance(model, BackgroundPair):
            others: dict[str, list[nn.Module]] = {"background": [model.terrain], "terrain": [model.background]}
            return others.get(self.name, [])
        return []


def stages(config: TrialConfig) -> tuple[Stage, ...]:
    """The stages of a trial; together they have `training.max_epochs` epochs.

    A background network that is trained first gets half of what the second stage leaves, the terrain network the other
    half. A stage that would have no epoch is left out.
    """
    left, lr = config.training.max_epochs, config.optimizer.lr
    following: tuple[Stage, ...] = ()
    if (second := config.second_stage).fraction is not None and second.lr is not None:
        epochs = min(left - 1, max(1, round(second.fraction * left)))
        following = (Stage(name=second.name, epochs=epochs, lr=second.lr, from_best=True),)
        left -= epochs
    first: tuple[Stage, ...] = (Stage(name="main", epochs=left, lr=lr),)
    if config.model.background == "sequential":
        background = Stage(name="background", epochs=left // 2, lr=lr)
        first = (background, Stage(name="terrain", epochs=left - left // 2, lr=lr))
    return tuple(stage for stage in (*first, *following) if stage.epochs > 0)
