"""The device and the precision that a model runs with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def default_device() -> torch.device:
    """Return the current CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Return whether to use bf16 autocast. `precision` is "bf16", "fp32" or "auto" (bf16 if the device supports it).

    A CPU supports it with AVX512-BF16 or AMX; without them bf16 is emulated and slower than fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def place(model: Network, device: torch.device) -> Network:
    """Move a model to a device, with its weights in channels-last memory format, the fastest one for convolutions."""
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Return the context manager of bf16 autocast on a device; it does nothing if `bf16` is False."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)
