"""Out-of-memory errors: how to recognise them, and a forward pass in evaluation mode that retries with smaller batches.

A trial that runs out of memory in training is retried with more micro-batches, see `search/tuning/retry_policy.py`.
"""

from __future__ import annotations

import torch
from torch import nn

from trainables.device import autocast

MESSAGES = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""Parts of the error messages of the CPU allocator, the CUDA driver, and cuDNN and cuBLAS."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that the device ran out of memory, so that a smaller batch may fit."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(mark in str(error) for mark in MESSAGES)


class ForwardInParts:
    """Computes the logits of a model in evaluation mode, with smaller batches if memory runs out.

    A batch that does not fit is split into halves, these into halves again, and so on. Later batches start with the
    size that fitted. In evaluation mode the logits of an image do not depend on the other images, so the split changes
    only the memory use.

    Args:
        model: maps images (N, C, H, W) to logits (N, num_classes, H, W).
        device: the device of the model.
        bf16: whether to compute under bf16 autocast.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, bf16: bool):
        self._model, self._device, self._bf16 = model, device, bf16
        self._most: int | None = None
        """Largest batch to try; None until a batch did not fit."""

    def __call__(self, images_nchw: torch.Tensor) -> torch.Tensor:
        """Return logits (N, num_classes, H, W) of images (N, C, H, W), in the precision that the model computes in.

        Raises:
            RuntimeError, MemoryError: if a single image does not fit, or for another reason.
        """
        while True:
            size = min(self._most or len(images_nchw), len(images_nchw))
            try:
                with autocast(self._device, self._bf16):
                    parts = [self._model(part) for part in images_nchw.split(size)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            # Outside the handler: until it ends, the exception keeps the tensors of the failed attempt alive.
            self._most = -(-size // 2)
            torch.cuda.empty_cache()
