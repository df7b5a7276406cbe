"""Soft Dice loss over labelled pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.losses.task import LossTask

if TYPE_CHECKING:
    from trainables.config import LossConfig
    from trainables.losses import Loss


def dice(config: LossConfig, task: LossTask) -> Loss:
    """1 - Dice, mean over the classes that an image's labelled pixels hold, then over images that have any.

    Dice is 2 sum(p y) / (sum(p) + sum(y)) over the image's labelled pixels, p the softmax, y one-hot labels.
    """
    from kornia.losses import dice_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean = dice_loss(logits, target, average="macro", ignore_index=task.ignore_index)
        # An image without a labelled pixel enters that mean as a constant 1: take it out again.
        labelled = (target != task.ignore_index).flatten(1).any(1).sum()
        return (mean * len(target) - (len(target) - labelled)) / labelled.clamp(min=1)

    return loss
