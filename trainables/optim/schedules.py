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
"""Cosine decay ends at this part of the peak learning rate."""


class Schedule:
    """A constant learning rate, and what the others share: the loop calls both steps and knows no schedule's name.

    Learning rates are part of the optimizer's state: to resume, load that as well, before or after.
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
    """Holds a torch scheduler's state."""

    def __init__(self, scheduler: LRScheduler):
        self.scheduler = scheduler

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scheduler.load_state_dict(state)


class BatchSchedule(TorchSchedule):
    """Follows a torch scheduler over `steps` batches and stays at its end."""

    def __init__(self, scheduler: LRScheduler, steps: int):
        super().__init__(scheduler)
        self.steps = steps

    def step_batch(self) -> None:
        if self.scheduler.last_epoch < self.steps:
            self.scheduler.step()


class PlateauSchedule(TorchSchedule):
    """Lowers the learning rate when the epochs' score stalls."""

    scheduler: ReduceLROnPlateau

    def step_epoch(self, metric: float) -> None:
        self.scheduler.step(metric)


class ReplayedSchedule(Schedule):
    """Follows recorded learning rates, stretched or compressed to a number of steps.

    Args:
        optimizer: whose groups all get the recorded rate.
        rates: one for each recorded step.
        steps: of the training that follows them; it stays at the last rate.
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
    # Better is better, by however little, as for early stopping. Torch's own threshold is relative: for scores above 0.
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
    """The 1cycle policy (Smith and Topin 2018), by cosines: from 1/25 of the peak up to it in the first
    `warmup_fraction` of the steps, then down to next to nothing. Momentum stays."""
    peak = [group["lr"] for group in optimizer.param_groups]
    # One step more than batches, as OneCycleLR counts the rate it starts with. It has the peak at
    # pct_start * total_steps - 1, and divides by zero where that is 0.
    total_steps = steps + 1
    pct_start = (warmup_fraction * steps + 1) / total_steps
    scheduler = OneCycleLR(optimizer, max_lr=peak, total_steps=total_steps, pct_start=pct_start, cycle_momentum=False)
    return BatchSchedule(scheduler, steps)


def _cosine(optimizer: Optimizer, steps: int) -> Schedule:
    """Cosine decay without restarts (Loshchilov and Hutter 2017, eq. 5)."""
    floor = COSINE_FLOOR * optimizer.param_groups[0]["lr"]
    return BatchSchedule(CosineAnnealingLR(optimizer, T_max=steps, eta_min=floor), steps)


FACTOR = Parameter(
    help="the learning rate is multiplied by this when the score stalls",
    default=0.5,
    allows=lambda value: 0 < value < 1,
    rule="must be above 0 and below 1",
)
PATIENCE = Parameter(
    help="epochs without a better score before the learning rate falls",
    default=5,
    allows=lambda value: value >= 0,
    rule="must be at least 0",
)
WARMUP_FRACTION = Parameter(
    help="part of all steps in which the learning rate rises",
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
"""Each builder takes the optimizer and the number of batches in the whole training, then its parameters by name."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning-rate schedule: a key of `SCHEDULES` and its parameters."""

    name: str = "onecycle"
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """By name, those that the schedule has (see `SCHEDULES`); what is left out takes its default."""
    REGISTRY: ClassVar = SCHEDULES

    def __post_init__(self) -> None:
        check_name(self, "name", tuple(SCHEDULES))
        resolve_parameters(self, SCHEDULES)


def build_schedule(config: ScheduleConfig, optimizer: Optimizer, *, steps_per_epoch: int, epochs: int) -> Schedule:
    """The schedule of a configuration for a training of that length; the optimizer's learning rate is its peak."""
    component = lookup(SCHEDULES, config.name, "schedule")
    return component.build(optimizer, steps_per_epoch * epochs, given=config.parameters)
