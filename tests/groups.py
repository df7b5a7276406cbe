"""Processes that train together, as a worker group does, without Ray."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.epochs import epochs


def without_batch_statistics() -> None:
    """From here on this process builds models that normalise each image for itself.

    On CPUs batch statistics are those of a rank's own images: without them the ranks compute what one process does.
    """
    nn.BatchNorm2d = functools.partial(nn.GroupNorm, 1)  # type: ignore[misc,assignment]


def train(rank: int, world: int, config: dict[str, Any], data: str, folder: str) -> None:
    """One of `world` processes; the first leaves its reports in the folder as `reports.pt`."""
    torch.set_num_threads(1)
    without_batch_statistics()
    store = distributed.FileStore(f"{folder}/store", world)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    prepared = prepare(DataSource(uri=data))
    part = prepared.split
    reports = list(epochs(TrialConfig.from_flat(config), prepared, train=part["train"], validation=part["val"]))
    if rank == 0:
        torch.save([report.to_dict() for report in reports], Path(folder) / "reports.pt")
    distributed.destroy_process_group()
