"""The processes that train one model together, if there are several (torch.distributed, set up by Ray Train)."""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The model to call in training: wrapped so that gradients are averaged over ranks where there are several."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


def all_sum(values: torch.Tensor) -> torch.Tensor:
    """The elementwise sum over ranks, on each of them."""
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


def share_buffers(model: nn.Module) -> None:
    """Give every rank the first rank's buffers (batch-norm statistics), so that all evaluate the same model."""
    if world_size() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def barrier() -> None:
    if world_size() > 1:
        distributed.barrier()
