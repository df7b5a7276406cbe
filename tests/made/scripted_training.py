"""A stand-in for a training, with scores that a test defines, so that it can assert exact results of the epoch loop."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from trainables.config import TrialConfig
from trainables.training import resumable_training as loop
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.stages import Stage, stages
from trainables.training.trainer import TrainedEpoch

TRAIN_SECONDS, VAL_SECONDS = 11.0, 7.0
SAVE_SECONDS = {"last": 3.0, "best": 2.0}


class Path(nn.Module):
    """A model whose weight lists the epochs that trained it: 125 means epochs 1, 2 and 5."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("path", torch.zeros((), dtype=torch.int64))

    def train_on(self, epoch: int) -> None:
        self.path.mul_(10).add_(epoch)  # in place, as an optimizer does: weights kept without a copy change


class Script:
    """The measurements of each epoch, and a log of what the loop did with them.

    Args:
        scores: mean IoU of epoch 1, 2, ... on the validation part.
        losses, gradient_norms, val_losses: the same (default: 1.0, 2.0, 3.0, ...; always 0.5; always 0.25).
    """

    def __init__(
        self,
        scores: Sequence[float] = (),
        *,
        losses: Sequence[float] = tuple(range(1, 31)),
        gradient_norms: Sequence[float] = (0.5,) * 30,
        val_losses: Sequence[float] = (0.25,) * 30,
    ):
        self.scores, self.losses, self.gradient_norms, self.val_losses = scores, losses, gradient_norms, val_losses
        self.now = 0.0
        self.trainings: list[ScriptedTraining] = []
        self.evaluations: list[dict[str, Any]] = []

    @property
    def training(self) -> ScriptedTraining:
        """The newest training."""
        return self.trainings[-1]

    def perf_counter(self) -> float:
        return self.now

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loop, "time", self)
        monkeypatch.setattr(loop, "evaluate", self._evaluate)
        monkeypatch.setattr(loop, "Training", self._make)

    def _make(self, config: TrialConfig, data: Any, indices: Any, device: Any, **named: Any) -> ScriptedTraining:
        self.trainings.append(ScriptedTraining(self, config, device))
        self.training.made_of = (config, data, indices, device, named)
        return self.training

    def _evaluate(self, model: Path, data: Any, indices: Any, **named: Any) -> SimpleNamespace:
        self.now += VAL_SECONDS
        self.evaluations.append({"model": model, "data": data, "indices": indices} | named)
        epoch = self.training.epoch
        score = self.scores[epoch - 1]
        return SimpleNamespace(loss=self.val_losses[epoch - 1], score=score, mean_iou=score, class_iou={"soil": score})


class ScriptedTraining:
    """Halves its learning rate with each score that its schedule receives."""

    parameters = 42
    made_of: tuple[Any, ...] = ()

    def __init__(self, script: Script, config: TrialConfig, device: Any):
        self.script, self.config, self.device = script, config, device
        self.evaluated, self.loss, self.bf16 = Path(), object(), object()
        self.stages = stages(config)
        self.epoch = 0
        self.begun: list[tuple[int, int | None]] = []
        """Number of each stage that began, and the path of the weights that it began with."""
        self.told: list[float] = []
        """Scores that the schedules of all stages received."""
        self.schedule = SimpleNamespace(step_epoch=self._step_epoch)
        self.begin_stage(1)

    def _step_epoch(self, score: float) -> None:
        self.told.append(score)
        self.learning_rate /= 2

    def begin_stage(self, number: int, weights: dict[str, torch.Tensor] | None = None) -> None:
        self.begun.append((number, None if weights is None else int(weights["path"])))
        if weights is not None:
            self.evaluated.load_state_dict(weights)
        self.stage: Stage = self.stages[number - 1]
        self.learning_rate = self.stage.lr

    def train_epoch(self, epoch: int) -> TrainedEpoch:
        self.epoch = epoch
        self.evaluated.train_on(epoch)
        self.script.now += TRAIN_SECONDS
        return TrainedEpoch(
            loss=self.script.losses[epoch - 1],
            gradient_norm=self.script.gradient_norms[epoch - 1],
            images_per_second=100.0,
            seconds=TRAIN_SECONDS,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.evaluated.state_dict(), "stage": self.stage.name, "learning_rate": self.learning_rate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state["stage"] == self.stage.name, "the state of another stage"
        self.evaluated.load_state_dict(state["model"])
        self.learning_rate = state["learning_rate"]


class Killed(BaseException):
    """Stands in for the end of the process."""


class ScriptedStore(CheckpointStore):
    """Takes virtual time to save, and can be killed before a save, counted from 0."""

    def __init__(self, location: str, script: Script, killed_before: int | None = None):
        super().__init__(location)
        self.script, self.killed_before = script, killed_before
        self.saves: list[tuple[str, int]] = []
        """Name and epoch of each saved checkpoint."""

    def save(self, name: str, content: dict[str, Any]) -> None:
        if len(self.saves) == self.killed_before:
            raise Killed
        super().save(name, content)
        self.script.now += SAVE_SECONDS[name]
        epoch = content["epoch"] if name == "best" else content["history"][-1]["epoch"]
        self.saves.append((name, epoch))
