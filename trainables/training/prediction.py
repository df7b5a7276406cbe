"""Masks from trained models: members and flips averaged, the ignored class suppressed, a decision for each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from trainables.data.batches import images_to_device
from trainables.out_of_memory import ForwardInParts
from trainables.training.decision import PLAIN, Decision
from trainables.training.evaluation import EVALUATION_BATCH, suppress

Flips = tuple[tuple[int, ...], ...]
FLIPS: Flips = ((), (-1,), (-2,), (-2, -1))
"""Test-time flips as dimensions of (N, C, H, W): none, horizontal, vertical, both."""


def class_probabilities(
    models: Sequence[nn.Module],
    images: np.ndarray,
    *,
    scale: float,
    device: torch.device,
    bf16: bool,
    suppressed: int | None,
    flips: Flips = FLIPS[:1],
    weights: Sequence[float] | None = None,
) -> Iterator[torch.Tensor]:
    """Class probabilities of the images in order, batch by batch: (B, C, H, W) fp32 on the device.

    Args:
        models: in evaluation mode; (N, 1, H, W) to logits (N, C, H, W).
        images: (N, H, W) stored pixels; a memory map is read a batch at a time.
        scale: maps stored pixels to [0, 1].
        device, bf16: where and how to compute.
        suppressed: a label whose probability is 0.
        flips: class probabilities are averaged over these flips of the input.
        weights: of the models in the average (default: equal ones).
    """
    parts = np.ones(len(models)) if weights is None else np.array(weights, dtype=np.float64)
    forwards = [
        (ForwardInParts(model, device, bf16=bf16), float(part))
        for model, part in zip(models, parts / parts.sum(), strict=True)
    ]
    for start in range(0, len(images), EVALUATION_BATCH):
        with torch.inference_mode():
            batch = images_to_device(np.array(images[start : start + EVALUATION_BATCH]), scale, device)
            total = torch.zeros((), device=device)
            for forward, part in forwards:
                for dims in flips:
                    logits = suppress(forward(batch.flip(dims)).float(), suppressed)
                    total = total + logits.softmax(1).flip(dims) * (part / len(flips))
        yield total


def predict(
    models: Sequence[nn.Module],
    images: np.ndarray,
    *,
    scale: float,
    device: torch.device,
    bf16: bool,
    suppressed: int | None,
    flips: Flips = FLIPS[:1],
    weights: Sequence[float] | None = None,
    decision: Decision = PLAIN,
) -> Iterator[np.ndarray]:
    """Predicted labels of the images in order, batch by batch: (B, H, W) uint8; arguments as `class_probabilities`."""
    for probabilities in class_probabilities(
        models, images, scale=scale, device=device, bf16=bf16, suppressed=suppressed, flips=flips, weights=weights
    ):
        yield decision.labels(probabilities).to(torch.uint8).cpu().numpy()
