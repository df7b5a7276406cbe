"""How many trials share a GPU: the choice, from what a probe measured, and what the ledger keeps of it.

The choice is a study's, not a run's: it is made once, and what continues the study takes it over.

What does not fit, also with single images at a time, is not proposed. The space's choices cannot be narrowed to say
so: depth 5 may fit with width 16, and width 64 with depth 2, but not both; and what a sampler has learned of a choice
must not be lost. So the ledger records how large the smallest configuration is that did not fit, as
`trainables.footprint` reckons one image, and the proposer passes over what is as large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

MEMORY_SHARE = 0.9
"""Of a device's memory that trials may take together."""
WORTHWHILE = 1.1
"""More trials beside each other must bring so many times the images a second."""
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


def most_trials(*, largest: int, memory: int, cpus_per_gpu: float, cpus_per_trial: float) -> tuple[int, str]:
    """How many trials could share a GPU, at least 1, and what bounds them.

    Args:
        largest: bytes of the largest trial. All may be as large: memory is not what a search should fail for.
        memory: bytes of the device.
        cpus_per_gpu: that the cluster has.
        cpus_per_trial: that each asks for.
    """
    by_memory = max(1, math.floor(MEMORY_SHARE * memory / largest))
    by_cpus = max(1, math.floor(cpus_per_gpu / cpus_per_trial + 1e-6))
    if by_cpus < by_memory:
        return by_cpus, f"there are CPUs for no more ({cpus_per_gpu:g} for each GPU, a trial takes {cpus_per_trial:g})"
    return by_memory, f"no more of the largest fit into {MEMORY_SHARE:.0%} of its memory"


def counts(most: int) -> list[int]:
    """Numbers of trials to try beside each other: 1, 2, 4 and so on, and the most."""
    doubled = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*doubled, most]


def best_count(rates: Mapping[int, float]) -> int:
    """From how many trials on the sum of their images a second stops growing.

    Args:
        rates: that sum, by the number of trials.
    """
    numbers = sorted(rates)
    best = numbers[0]
    for number in numbers[1:]:
        if rates[number] < WORTHWHILE * rates[best]:
            break
        best = number
    return best
