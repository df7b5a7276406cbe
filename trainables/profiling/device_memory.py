"""Memory that this process uses on its device."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from typing import Protocol

import torch


class DeviceMemory(Protocol):
    """The memory of one device, as seen by this process."""

    @property
    def device(self) -> str:
        """Name of the device."""
        ...

    @property
    def total(self) -> int:
        """Total memory in bytes."""
        ...

    def reset(self) -> None:
        """Free unused memory and reset the peak."""
        ...

    def peak(self) -> int:
        """Return the peak memory in bytes of this process since the last reset."""
        ...


class CudaMemory:
    """Memory of a CUDA device: the peak that the caching allocator reserved, and other memory (context, kernels).

    The other memory is all that is in use on the device and not reserved by the allocator of this process. It includes
    memory of other programs on the device, so the sum is never too low.
    """

    def __init__(self, device: torch.device):
        self._index = device
        self.device = torch.cuda.get_device_name(device)
        self.total = torch.cuda.mem_get_info(device)[1]

    def reset(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._index)

    def peak(self) -> int:
        free, total = torch.cuda.mem_get_info(self._index)
        besides = total - free - torch.cuda.memory_reserved(self._index)
        return torch.cuda.max_memory_reserved(self._index) + besides


class HostMemory:
    """Memory of the machine (Linux), for CPU training: the peak resident set size of this process."""

    device = "CPU"

    def __init__(self) -> None:
        self.total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def reset(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_bytes(b"5")  # resets the peak to the current resident set size

    def peak(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
        assert found is not None
        return int(found[1]) * 1024


def device_memory(device: torch.device) -> DeviceMemory:
    """Return the memory of a device: that of the GPU for CUDA devices, else that of the machine."""
    return CudaMemory(device) if device.type == "cuda" else HostMemory()
