"""Helpers for data-parallel training (torch.distributed, set up by Ray Train). In a single process they do nothing."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Network = TypeVar("Network", bound=nn.Module)


def world_size() -> int:
    """Return the number of processes that train the model together, 1 without torch.distributed."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, 0 without torch.distributed."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model to call in training: wrapped in DistributedDataParallel if there are several ranks."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


def synchronised(model: Network, device: torch.device) -> Network:
    """Convert batch normalisation to SyncBatchNorm if there are several ranks, so that it uses the whole batch.

    PyTorch supports SyncBatchNorm only on GPUs. On CPUs each rank normalises with its own part of the batch.
    """
    if world_size() == 1 or device.type != "cuda":
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def all_sum(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor elementwise over all ranks, in place; every rank gets the sum."""
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


def any_of(value: bool, device: torch.device) -> bool:
    """Return whether `value` is true on any rank; every rank gets the same result."""
    return bool(all_sum(torch.tensor(float(value), device=device)))


def from_first(value: Any) -> Any:
    """Return the value of rank 0 on every rank."""
    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, 0)
    return values[0]


def share_buffers(model: nn.Module) -> None:
    """Broadcast the buffers of rank 0 (batch-norm statistics), so that all ranks evaluate the same model."""
    if world_size() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)
