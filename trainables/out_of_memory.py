"""When a device has not enough memory: how that is told, and a forward pass that continues in smaller parts."""

from __future__ import annotations

import torch
from torch import nn

from trainables.device import autocast

MESSAGES = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""What the messages hold: of the CPU's allocator, of CUDA's driver, of cuDNN and cuBLAS."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device had not enough memory: smaller parts of a batch may fit."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(mark in str(error) for mark in MESSAGES)


class ForwardInParts:
    """The logits of a model in evaluation mode, whatever number of images the device can compute at a time.

    A batch that does not fit is computed in halves, these in halves, and so on; later batches begin with what fitted.
    In evaluation mode no image's logits depend on the others, so the parts change nothing but memory.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, bf16: bool):
        self._model, self._device, self._bf16 = model, device, bf16
        self._most: int | None = None
        """Images at a time; None: no batch was too large yet."""

    def __call__(self, images_nchw: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes, H, W) of images (N, C, H, W), in the precision that the model computes in."""
        while True:
            size = min(self._most or len(images_nchw), len(images_nchw))
            try:
                with autocast(self._device, self._bf16):
                    parts = [self._model(part) for part in images_nchw.split(size)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            # Not in the handler: what has been computed so far is only let go behind it.
            self._most = -(-size // 2)
            torch.cuda.empty_cache()
