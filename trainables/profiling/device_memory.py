"""What this process takes of its device's memory."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from typing import Protocol

import torch


class DeviceMemory(Protocol):
    """Of one device, as this process sees it."""

    @property
    def device(self) -> str:
        """Its name."""
        ...

    @property
    def total(self) -> int:
        """Bytes that it has."""
        ...

    def reset(self) -> None:
        """Give back what is not in use, and measure the peak anew."""
        ...

    def peak(self) -> int:
        """The most bytes that this process took since."""
        ...


class CudaMemory:
    """Of a CUDA device: what the allocator reserved, and what the process takes besides (context, kernels).

    The latter is all that is in use on the device and not reserved here: what other programs hold there counts in, so
    it is never too little.
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
    """Of the machine itself (Linux), for processes that compute on the CPU: their peak resident size."""

    device = "CPU"

    def __init__(self) -> None:
        self.total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def reset(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now

    def peak(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found is not None
        return int(found[1]) * 1024


def device_memory(device: torch.device) -> DeviceMemory:
    return CudaMemory(device) if device.type == "cuda" else HostMemory()
