"""Region losses over labelled pixels: soft Dice, soft Jaccard and Tversky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.losses.task import LossTask

if TYPE_CHECKING:
    from trainables.config import LossConfig
    from trainables.losses import Loss


def dice(config: LossConfig, task: LossTask) -> Loss:
    """1 - Dice, mean over the classes that an image's labelled pixels hold, then over images that have any.

    Dice is 2 sum(p y) / (sum(p) + sum(y)) over the image's labelled pixels, p the softmax, y one-hot labels
    (Milletari et al. 2016, section 3, without the squares).
    """
    from kornia.losses import dice_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean = dice_loss(logits, target, average="macro", ignore_index=task.ignore_index)
        return _over_labelled_images(mean, target, task)

    return loss


def jaccard(config: LossConfig, task: LossTask) -> Loss:
    """1 - Jaccard (intersection over union), averaged as `dice` is.

    Jaccard is sum(p y) / (sum(p) + sum(y) - sum(p y)) over the image's labelled pixels (Rahman and Wang 2016,
    "Optimizing intersection-over-union in deep neural networks for image segmentation").
    """
    return _tversky(task, false_positive=1.0, false_negative=1.0)


def tversky(config: LossConfig, task: LossTask) -> Loss:
    """1 - Tversky index, averaged as `dice` is (Salehi et al. 2017, "Tversky loss function for image segmentation").

    The index is TP / (TP + alpha FP + (1 - alpha) FN) over the image's labelled pixels, with TP = sum(p y),
    FP = sum(p (1 - y)), FN = sum((1 - p) y). At alpha = 1/2 it is Dice.
    """
    assert config.alpha is not None
    return _tversky(task, false_positive=config.alpha, false_negative=1 - config.alpha)


def _tversky(task: LossTask, *, false_positive: float, false_negative: float) -> Loss:
    from kornia.losses import tversky_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean = tversky_loss(logits, target, alpha=false_positive, beta=false_negative, ignore_index=task.ignore_index)
        return _over_labelled_images(mean, target, task)

    return loss


def _over_labelled_images(mean: torch.Tensor, target_nhw: torch.Tensor, task: LossTask) -> torch.Tensor:
    """kornia's mean over all images, turned into the mean over those with a labelled pixel (0 without any)."""
    # An image without a labelled pixel enters kornia's mean as a constant 1: take it out again.
    labelled = (target_nhw != task.ignore_index).flatten(1).any(1).sum()
    return (mean * len(target_nhw) - (len(target_nhw) - labelled)) / labelled.clamp(min=1)
