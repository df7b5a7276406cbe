"""Prediction with trained models: averaged over models and flips, the ignored class suppressed, then a decision."""

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
"""Flips for test-time augmentation, as dimensions of (N, C, H, W): none, horizontal, vertical, both."""


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
    """Yield class probabilities of the images in order, batch by batch: (B, C, H, W) fp32 on the device, in [0, 1].

    Args:
        models: models in evaluation mode, which map (N, 1, H, W) to logits (N, C, H, W).
        images: (N, H, W) stored pixels; a memory map is read batch by batch.
        scale: factor that scales stored pixels to [0, 1].
        device: the device of the models.
        bf16: whether to compute under bf16 autocast.
        suppressed: label whose probability is set to 0; None: no label.
        flips: flips of the input to average class probabilities over.
        weights: weights of the models in the average, of any sum (default: equal).
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
    """Yield the predicted labels of the images in order, batch by batch: (B, H, W) uint8.

    `decision` chooses the labels; the other arguments are those of `class_probabilities`.
    """
    for probabilities in class_probabilities(
        models, images, scale=scale, device=device, bf16=bf16, suppressed=suppressed, flips=flips, weights=weights
    ):
        yield decision.labels(probabilities).to(torch.uint8).cpu().numpy()
