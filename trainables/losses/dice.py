"""Soft Dice loss over labelled pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.losses.task import LossTask

if TYPE_CHECKING:
    from trainables.config import LossConfig
    from trainables.losses import Loss


def dice(config: LossConfig, task: LossTask) -> Loss:
    """1 - Dice, mean over the classes that an image's labelled pixels hold, then over images (Milletari et al. 2016)."""
    from kornia.losses import dice_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return dice_loss(logits, target, average="macro", ignore_index=task.ignore_index)

    return loss
