"""The processes that train one model together, if there are several (torch.distributed, set up by Ray Train)."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Network = TypeVar("Network", bound=nn.Module)


def world_size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The model to call in training: wrapped so that gradients are averaged over ranks where there are several."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


def synchronised(model: Network, device: torch.device) -> Network:
    """The model with batch statistics that are those of all ranks' images together, where there are several.

    On GPUs only, where torch has it: on CPUs each rank normalises with its own part of the batch.
    """
    if world_size() == 1 or device.type != "cuda":
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def all_sum(values: torch.Tensor) -> torch.Tensor:
    """The elementwise sum over ranks, on each of them."""
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


def any_of(value: bool, device: torch.device) -> bool:
    """Whether it is true on any rank; the same answer on each of them."""
    return bool(all_sum(torch.tensor(float(value), device=device)))


def from_first(value: Any) -> Any:
    """The first rank's value, on each of them."""
    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, 0)
    return values[0]


def share_buffers(model: nn.Module) -> None:
    """Give every rank the first rank's buffers (batch-norm statistics), so that all evaluate the same model."""
    if world_size() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)
