"""The CPUs that this process may use, which can be fewer than the machine has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Return how many CPUs this process may use, at least 1.

    The smallest of: its CPU affinity (taskset, cpusets, Slurm), the CPU quota of its container (cgroup v2 or v1,
    rounded down), and SLURM_CPUS_PER_TASK.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    with suppress(OSError, ValueError):  # no quota: it is "max", or there is no such file
        quota, period = (CGROUP / "cpu.max").read_text().split()
        limits.append(int(quota) / int(period))
    with suppress(OSError, ValueError):
        quota, period = ((CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if int(quota) > 0:
            limits.append(int(quota) / int(period))
    with suppress(ValueError):
        limits.append(int(os.environ.get("SLURM_CPUS_PER_TASK", "")))
    return max(1, int(min(limits)))
