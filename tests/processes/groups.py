"""Processes that train together as a worker group does, but without Ray."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.messages import EpochReport, TrialRequest
from trainables.training.resumable_training import epochs
from trainables.training.trial import TrialTask


def normalise_each_image() -> None:
    """Let this process build models without batch statistics from now on.

    On CPUs, each rank's batch statistics are those of its own images. Without them, the ranks together compute the same
    as one process.
    """
    nn.BatchNorm2d = functools.partial(nn.GroupNorm, 1)  # type: ignore[misc,assignment]


def trained(config: dict[str, Any], data: str) -> list[EpochReport]:
    """Train a configuration in its flat form on this rank, and return its epochs."""
    prepared = prepare(DataSource(uri=data))
    train, validation = prepared.split["train"], prepared.split["val"]
    return list(epochs(TrialConfig.from_flat(config), prepared, train=train, validation=validation))


def train_together(rank: int, world: int, configs: list[dict[str, Any]], data: str, folder: str) -> None:
    """Run one of `world` processes; rank 0 saves the reports of all configurations to `reports.pt` in the folder."""
    torch.set_num_threads(1)
    normalise_each_image()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = distributed.FileStore(f"{folder}/store", world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    reports = [[report.to_dict() for report in trained(config, data)] for config in configs]
    if rank == 0:
        torch.save(reports, Path(folder) / "reports.pt")
    distributed.destroy_process_group()


class WithoutBatchStatistics(TrialTask):
    """Runs a trial of a search with a model that has no batch statistics."""

    def __call__(self, request: TrialRequest) -> Iterator[EpochReport]:
        normalise_each_image()
        yield from super().__call__(request)
