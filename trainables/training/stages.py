"""Training stages: the modules that each trains, its length and its initial weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from trainables.config import TrialConfig
from trainables.models import BackgroundPair, Model


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the training with its own optimizer and learning-rate schedule. Stages run one after the other."""

    name: str
    """background or terrain (one network of a pair), main (the whole model) or frozen_encoder."""
    epochs: int
    """Maximum number of epochs. Early stopping may end the stage before."""
    lr: float
    """Peak learning rate."""
    from_best: bool = False
    """Whether the stage starts from the weights of the best epoch so far, instead of the last epoch."""
    rates: tuple[float, ...] | None = None
    """Learning rates, each for an equal part of the steps; None: use the schedule of the configuration."""

    @property
    def scored(self) -> bool:
        """Whether the score depends on the trained modules. If not, early stopping and the schedule do not use it."""
        return self.name != "background"

    def watched(self, train_loss: float, score: float | None) -> float:
        """Return the metric for the schedule after an epoch, higher is better: the score if it applies, else -loss."""
        return -train_loss if score is None or not self.scored else score

    def frozen(self, model: Model) -> list[nn.Module]:
        """Return the modules whose weights and batch statistics are frozen."""
        if self.name == "frozen_encoder":
            return model.encoders()
        if isinstance(model, BackgroundPair):
            others: dict[str, list[nn.Module]] = {"background": [model.terrain], "terrain": [model.background]}
            return others.get(self.name, [])
        return []


def stages(config: TrialConfig) -> tuple[Stage, ...]:
    """Return the training stages of a configuration, with `training.max_epochs` epochs in total.

    The epochs that are not for the second stage go to the main stage. If the background network trains first, it gets
    half of them, and the terrain network the other half. Stages without epochs are left out.
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
