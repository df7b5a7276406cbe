"""How many trials share a GPU: the choice, from what a probe measured, and what the ledger keeps of it.

The choice is a study's, not a run's: it is made once, and what continues the study takes it over.

What does not fit, also with single images at a time, is not proposed. The space's choices cannot be narrowed to say
so: depth 5 may fit with width 16, and width 64 with depth 2, but not both; and what a sampler has learned of a choice
must not be lost. So the ledger records how large the smallest configuration is that did not fit, as
`trainables.profiling.footprint` reckons one image, and the proposer passes over what is as large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

UNITS = 10_000
"""Ray counts a GPU in so many parts, and rounds to them."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What a study does with a GPU."""

    trials_per_gpu: int
    device: str
    """The one that was probed."""
    reason: str
    """Why not more trials."""
    too_large: int | None = None
    """Bytes, as `Footprint.bytes` reckons one image: configurations of so many or more do not fit. None: all do."""

    @property
    def gpus(self) -> float:
        """Part of a GPU that a trial asks for."""
        return share(self.trials_per_gpu)

    def sentence(self) -> str:
        trials = "1 trial" if self.trials_per_gpu == 1 else f"{self.trials_per_gpu} trials"
        return f"{trials} a GPU ({self.device}): {self.reason}"


def share(count: int) -> float:
    """One of so many shares of a GPU, in Ray's units: rounded down, or the last of six would not get its sixth."""
    return math.floor(UNITS / count) / UNITS
