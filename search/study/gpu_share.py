"""How many trials share a GPU, chosen from the measurements of a probe, and recorded in the ledger.

The placement is chosen once for a study: later runs of the study reuse it.

Configurations that do not fit into memory, even with one image at a time, are not proposed. The choices of the space
cannot be narrowed for that: depth 5 may fit with width 16, and width 64 with depth 2, but not both together; and a
sampler would lose what it has learned about a removed choice. So the ledger records the size of the smallest
configuration that did not fit, as `trainables.profiling.footprint` estimates it for one image, and the proposer skips
configurations of that size or larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

UNITS = 10_000
"""Parts of a GPU: Ray rounds fractions of a GPU to 1 / UNITS."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the trials of a study share a GPU."""

    trials_per_gpu: int
    device: str
    """Name of the GPU that was probed."""
    reason: str
    """Why not more trials share it."""
    too_large: int | None = None
    """Size in bytes of one image (`Footprint.bytes`) from which on configurations do not fit; None if all fit."""

    @property
    def gpus(self) -> float:
        """Fraction of a GPU that a trial requests."""
        return share(self.trials_per_gpu)

    def sentence(self) -> str:
        trials = "1 trial" if self.trials_per_gpu == 1 else f"{self.trials_per_gpu} trials"
        return f"{trials} per GPU ({self.device}): {self.reason}"


def share(count: int) -> float:
    """Return 1 / `count` of a GPU in Ray's units, rounded down: rounded up, the last of the trials would not fit."""
    return math.floor(UNITS / count) / UNITS
