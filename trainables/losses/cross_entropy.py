"""Cross-entropy over labelled pixels, plain and weighted by class frequency."""

from __future__ import annotations

import torch
from torch.nn import functional

from trainables.losses.task import Loss, LossTask


def cross_entropy(task: LossTask) -> Loss:
    """Mean over labelled pixels of -log p(label)."""
    return _cross_entropy(task, None)


def weighted_cross_entropy(task: LossTask, *, class_weight_exponent: float, class_weight_cap: float | None) -> Loss:
    """Mean over labelled pixels of -w(label) log p(label), with weights from `class_weights`.

    Weights are scaled so that their mean over the training pixels is 1. The loss then has the same scale as without
    weights, and the same learning rates suit it.
    """
    return _cross_entropy(task, class_weights(task, class_weight_exponent, class_weight_cap))


def class_weights(task: LossTask, exponent: float, cap: float | None = None) -> torch.Tensor:
    """Return inverse class frequencies to a power, scaled to mean 1 over the training pixels.

    Args:
        task: the classes and their pixel counts.
        exponent: the power.
        cap: upper bound of the ratio of each weight to the smallest one, at least 1 (None: no bound).

    Returns:
        (num_classes,) float32; 0 for the ignored class and for classes without training pixels.
    """
    scored = list(task.described.scored_labels)
    counts = torch.zeros(task.described.num_classes, dtype=torch.float64)
    counts[scored] = torch.as_tensor(task.pixel_counts, dtype=torch.float64)[scored]
    assert counts.sum() > 0, "the training masks hold no labelled pixel"
    weights = torch.where(counts > 0, counts**-exponent, 0.0)
    if cap is not None:
        weights = weights.clamp(max=cap * weights[weights > 0].min())
    return (weights * counts.sum() / (weights * counts).sum()).float()


def _cross_entropy(task: LossTask, weights: torch.Tensor | None) -> Loss:
    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # reduction="mean" is 0 / 0 for a batch without labelled pixels, and divides by the sum of the pixels' weights.
        total = functional.cross_entropy(
            logits,
            target,
            weight=None if weights is None else weights.to(logits.device, non_blocking=True),
            ignore_index=task.ignore_index,
            reduction="sum",
        )
        return total / task.labelled_pixels(target)

    return loss
