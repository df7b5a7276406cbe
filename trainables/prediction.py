"""Masks from a trained model: flip averaging, and the ignored class suppressed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from trainables.batches import images_to_device
from trainables.evaluation import EVALUATION_BATCH, suppress
from trainables.out_of_memory import ForwardInParts

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Test-time flips as dimensions of (N, C, H, W): none, horizontal, vertical, both."""


def predict(
    model: nn.Module,
    images: np.ndarray,
    *,
    scale: float,
    device: torch.device,
    bf16: bool,
    suppressed: int | None,
    flips: tuple[tuple[int, ...], ...] = FLIPS[:1],
) -> Iterator[np.ndarray]:
    """Predicted labels of the images in order, batch by batch: (B, H, W) uint8.

    Args:
        model: in evaluation mode; (N, 1, H, W) to logits (N, C, H, W).
        images: (N, H, W) stored pixels; a memory map is read a batch at a time.
        scale: maps stored pixels to [0, 1].
        device, bf16: where and how to compute.
        suppressed: a label that is never predicted.
        flips: class probabilities are averaged over these flips of the input.
    """
    forward = ForwardInParts(model, device, bf16=bf16)
    with torch.inference_mode():
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = images_to_device(np.array(images[start : start + EVALUATION_BATCH]), scale, device)
            probabilities = torch.zeros((), device=device)
            for dims in flips:
                logits = forward(batch.flip(dims)).float()
                probabilities = probabilities + suppress(logits, suppressed).softmax(1).flip(dims)
            yield probabilities.argmax(1).to(torch.uint8).cpu().numpy()
