"""The number of trials that share a GPU, chosen from a probe's measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping

MEMORY_SHARE = 0.9
"""Fraction of a device's memory that all its trials together may use."""

WORTHWHILE = 1.1
"""Factor by which more concurrent trials must increase the total images per second."""


def most_trials(*, largest: int, memory: int, cpus_per_gpu: float, cpus_per_trial: float) -> tuple[int, str]:
    """Return the maximum number of trials that can share a GPU (at least 1), and the reason for the limit.

    Args:
        largest: memory of the largest trial in bytes. All trials on a GPU may be this large at the same time.
        memory: memory of the device in bytes.
        cpus_per_gpu: number of CPUs that the cluster has per GPU.
        cpus_per_trial: number of CPUs that each trial needs.
    """
    by_memory = max(1, math.floor(MEMORY_SHARE * memory / largest))
    by_cpus = max(1, math.floor(cpus_per_gpu / cpus_per_trial + 1e-6))
    if by_cpus < by_memory:
        return by_cpus, f"there are no CPUs for more ({cpus_per_gpu:g} per GPU, {cpus_per_trial:g} per trial)"
    return by_memory, f"no more of the largest trials fit into {MEMORY_SHARE:.0%} of its memory"


def counts(most: int) -> list[int]:
    """Return the numbers of concurrent trials to measure: 1, 2, 4 and so on, and the maximum."""
    doubled = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*doubled, most]


def best_count(rates: Mapping[int, float]) -> int:
    """Return the number of concurrent trials beyond which the total images per second no longer grow enough.

    Args:
        rates: total images per second, by number of concurrent trials.
    """
    numbers = sorted(rates)
    best = numbers[0]
    for number in numbers[1:]:
        if rates[number] < WORTHWHILE * rates[best]:
            break
        best = number
    return best
