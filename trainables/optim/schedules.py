"""Learning-rate schedules by name, and their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from trainables.registry import Component, Parameter, lookup
from trainables.validation import check_name, resolve_parameters

COSINE_FLOOR = 0.01
"""Final learning rate of cosine decay, as a fraction of the peak."""


class Schedule:
    """A constant learning rate, and the base class of all schedules. The epoch loop calls both step methods.

    Learning rates are part of the optimizer's state. To resume, load both states, in any order.
    """

    def step_batch(self) -> None:
        """Call after every optimizer step."""

    def step_epoch(self, metric: float) -> None:
        """Call after every epoch with its score (higher is better)."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert not state, "a constant learning rate has no state"


class TorchSchedule(Schedule):
    """Wraps a scheduler of PyTorch, and saves and loads its state."""

    def __init__(self, scheduler: LRScheduler):
        self.scheduler = scheduler

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scheduler.load_state_dict(state)


class BatchSchedule(TorchSchedule):
    """Steps a scheduler of PyTorch after each of the first `steps` batches; later the learning rate is constant."""

    def __init__(self, scheduler: LRScheduler, steps: int):
        super().__init__(scheduler)
        self.steps = steps

    def step_batch(self) -> None:
        if self.scheduler.last_epoch < self.steps:
            self.scheduler.step()


class PlateauSchedule(TorchSchedule):
    """Lowers the learning rate when the score stops improving."""

    scheduler: ReduceLROnPlateau

    def step_epoch(self, metric: float) -> None:
        self.scheduler.step(metric)


class ReplayedSchedule(Schedule):
    """Follows recorded learning rates, stretched or compressed to a number of steps.

    Args:
        optimizer: the optimizer; all its parameter groups get the recorded rate.
        rates: learning rate of each recorded step.
        steps: number of optimizer steps to spread the rates over. Later steps keep the last rate.
    """

    def __init__(self, optimizer: Optimizer, rates: Sequence[float], steps: int):
        self.optimizer, self.rates, self.steps, self.step = optimizer, rates, steps, 0
        self._set()

    def _set(self) -> None:
        recorded = min(self.step * len(self.rates) // self.steps, len(self.rates) - 1)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates[recorded]

    def step_batch(self) -> None:
        self.step += 1
        self._set()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self._set()


def _constant(optimizer: Optimizer, steps: int) -> Schedule:
    return Schedule()


def _plateau(optimizer: Optimizer, steps: int, *, factor: float, patience: int) -> Schedule:
    # Threshold 0: any improvement counts, as in early stopping. The default is relative, which needs scores above 0.
    return PlateauSchedule(
        ReduceLROnPlateau(
            optimizer,
            mode="max",
            factor=factor,
            patience=patience,
            threshold=0.0,
            threshold_mode="abs",
        )
    )


def _onecycle(optimizer: Optimizer, steps: int, *, warmup_fraction: float) -> Schedule:
    """The 1cycle policy (Smith and Topin 2018) with cosine annealing.

    The learning rate rises from 1/25 of the peak to the peak in the first `warmup_fraction` of the steps, then falls to
    nearly 0 (1/250000 of the peak). Momentum is constant.
    """
    peak = [group["lr"] for group in optimizer.param_groups]
    # One step more than batches, because OneCycleLR counts the initial rate as a step. It reaches the peak at step
    # pct_start * total_steps - 1, and divides by zero if that is 0.
    total_steps = steps + 1
    pct_start = (warmup_fraction * steps + 1) / total_steps
    scheduler = OneCycleLR(optimizer, max_lr=peak, total_steps=total_steps, pct_start=pct_start, cycle_momentum=False)
    return BatchSchedule(scheduler, steps)


def _cosine(optimizer: Optimizer, steps: int) -> Schedule:
    """Cosine decay without restarts (Loshchilov and Hutter 2017, eq. 5)."""
    floor = COSINE_FLOOR * optimizer.param_groups[0]["lr"]
    return BatchSchedule(CosineAnnealingLR(optimizer, T_max=steps, eta_min=floor), steps)


FACTOR = Parameter(
    help="factor of the learning rate when the score stops improving",
    default=0.5,
    allows=lambda value: 0 < value < 1,
    rule="must be above 0 and below 1",
)
PATIENCE = Parameter(
    help="number of epochs without a better score before the learning rate is lowered",
    default=5,
    allows=lambda value: value >= 0,
    rule="must be at least 0",
)
WARMUP_FRACTION = Parameter(
    help="fraction of the steps in which the learning rate rises",
    default=0.3,
    allows=lambda value: 0 < value < 1,
    rule="must be above 0 and below 1",
)

SCHEDULES: dict[str, Component[Schedule]] = {
    "onecycle": Component(_onecycle, {"warmup_fraction": WARMUP_FRACTION}),
    "cosine": Component(_cosine),
    "plateau": Component(_plateau, {"factor": FACTOR, "patience": PATIENCE}),
    "constant": Component(_constant),
}
"""Each builder takes the optimizer and the number of training steps, then its parameters as keyword arguments."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning-rate schedule: a key of `SCHEDULES` and its parameters."""

    name: str = "onecycle"
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters of the schedule by name (see `SCHEDULES`). Missing ones take their defaults."""
    REGISTRY: ClassVar = SCHEDULES

    def __post_init__(self) -> None:
        check_name(self, "name", tuple(SCHEDULES))
        resolve_parameters(self, SCHEDULES)


def build_schedule(config: ScheduleConfig, optimizer: Optimizer, *, steps_per_epoch: int, epochs: int) -> Schedule:
    """Build the schedule of a configuration for a number of epochs. Its peak is the current rate of the optimizer."""
    component = lookup(SCHEDULES, config.name, "schedule")
    return component.build(optimizer, steps_per_epoch * epochs, given=config.parameters)
