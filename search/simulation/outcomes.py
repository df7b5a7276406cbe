"""Search settings that `replay.py` tries, and their outcomes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from search.study.settings import StudySettings


@dataclass(frozen=True, order=True)
class Choice:
    """Search settings to try."""

    sampler: str
    slots: int
    grace_epochs: int
    reduction_factor: int
    scheduler: str
    rung_metric: str

    def describe(self, max_epochs: int) -> str:
        text = f"{self.sampler}, {self.slots} concurrent"
        if self.grace_epochs >= max_epochs:
            return f"{text}, no stopping"
        judged = "" if self.rung_metric == "best" else f" ({self.rung_metric})"
        return f"{text}, {self.scheduler}{judged} of 1 in {self.reduction_factor} from epoch {self.grace_epochs}"

    def options(self) -> str:
        """Return these settings as options of the search command."""
        return (
            f"--sampler {self.sampler} --max-concurrent {self.slots} --scheduler {self.scheduler} "
            f"--rung-metric {self.rung_metric} --reduction-factor {self.reduction_factor} "
            f"--grace-epochs {self.grace_epochs}"
        )

    def applied_to(self, settings: StudySettings, seed: int) -> StudySettings:
        return dataclasses.replace(
            settings,
            seed=seed,
            grace_epochs=self.grace_epochs,
            reduction_factor=self.reduction_factor,
            scheduler=self.scheduler,
            rung_metric=self.rung_metric,
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The simulated searches of one choice, one per seed."""

    choice: Choice
    best: np.ndarray
    """(seeds, epochs) floats: best score so far after each epoch of the budget."""

    @property
    def final(self) -> float:
        return float(np.median(self.best[:, -1]))

    def epochs_to(self, target: float) -> float | None:
        """Return the number of epochs until half of the seeds have reached the target; None if fewer than half do."""
        reached = sorted(int(np.argmax(row >= target)) + 1 if row[-1] >= target else np.inf for row in self.best)
        half = reached[(len(reached) - 1) // 2]  # not the mean of two: one of them may be infinite
        return half if np.isfinite(half) else None
