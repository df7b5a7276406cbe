"""Focal loss over labelled pixels."""

from __future__ import annotations

import torch

from trainables.losses.task import Loss, LossTask


def focal(task: LossTask, *, gamma: float) -> Loss:
    """Mean over labelled pixels of -(1 - p)^gamma log p, p the probability of the label (Lin et al. 2017, eq. 4)."""
    from kornia.losses import focal_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = focal_loss(logits, target, alpha=None, gamma=gamma, reduction="sum", ignore_index=task.ignore_index)
        return total / task.labelled_pixels(target)

    return loss
