"""Focal loss over labelled pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.losses.task import LossTask

if TYPE_CHECKING:
    from trainables.config import LossConfig
    from trainables.losses import Loss


def focal(config: LossConfig, task: LossTask) -> Loss:
    """Mean over labelled pixels of -(1 - p)^gamma log p, p the probability of the label (Lin et al. 2017, eq. 4)."""
    from kornia.losses import focal_loss

    assert config.gamma is not None
    gamma = config.gamma

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = focal_loss(logits, target, alpha=None, gamma=gamma, reduction="sum", ignore_index=task.ignore_index)
        return total / task.labelled_pixels(target)

    return loss
