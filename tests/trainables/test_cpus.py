from __future__ import annotations

import os

import pytest

from trainables import cpus
from trainables.cpus import usable_cpus


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A process that may use 8 CPUs, without a quota."""
    monkeypatch.setattr(cpus, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    (tmp_path / "cpu").mkdir()
    return tmp_path


def test_without_limits_it_is_the_affinity(monkeypatch):
    assert usable_cpus() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert usable_cpus() == 1


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("400000 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_a_container_s_quota_counts(quota, expected, machine):
    (machine / "cpu.max").write_text(quota)
    assert usable_cpus() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_so_does_that_of_an_older_kernel(quota, expected, machine):
    (machine / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (machine / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert usable_cpus() == expected


@pytest.mark.parametrize(("value", "expected"), [("2", 2), ("16", 8), ("", 8), ("many", 8)])
def test_so_does_what_slurm_gave_the_task(value, expected, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
    assert usable_cpus() == expected
