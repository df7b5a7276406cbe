"""How many trials share a GPU, from what a probe measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

MEMORY_SHARE = 0.9
"""Of a device's memory that trials may take together."""

WORTHWHILE = 1.1
"""More trials beside each other must bring so many times the images a second."""


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
