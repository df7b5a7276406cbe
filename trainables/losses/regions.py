"""Region losses over labelled pixels: soft Dice, soft Jaccard and Tversky."""

from __future__ import annotations

import torch

from trainables.losses.task import Loss, LossTask


def dice(task: LossTask) -> Loss:
    """1 - Dice, mean over the classes in the labelled pixels of an image, then over the images with labelled pixels.

    Dice is 2 sum(p y) / (sum(p) + sum(y)) over the labelled pixels of an image, p the softmax, y one-hot labels
    (Milletari et al. 2016, section 3, without the squares).
    """
    from kornia.losses import dice_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean = dice_loss(logits, target, average="macro", ignore_index=task.ignore_index)
        return _over_labelled_images(mean, target, task)

    return loss


def jaccard(task: LossTask) -> Loss:
    """1 - Jaccard index (intersection over union), averaged like `dice`.

    Jaccard is sum(p y) / (sum(p) + sum(y) - sum(p y)) over the labelled pixels of an image (Rahman and Wang 2016,
    "Optimizing intersection-over-union in deep neural networks for image segmentation").
    """
    return _tversky(task, false_positive=1.0, false_negative=1.0)


def tversky(task: LossTask, *, alpha: float) -> Loss:
    """1 - Tversky index, averaged like `dice` (Salehi et al. 2017, "Tversky loss function for image segmentation").

    The index is TP / (TP + alpha FP + (1 - alpha) FN) over the labelled pixels of an image, with TP = sum(p y),
    FP = sum(p (1 - y)), FN = sum((1 - p) y). With alpha = 1/2 it is Dice.
    """
    return _tversky(task, false_positive=alpha, false_negative=1 - alpha)


def batch_dice(task: LossTask) -> Loss:
    """1 - Dice over the batch: `batch_tversky` with alpha = 1/2."""
    return _batch_tversky(task, alpha=0.5)


def batch_tversky(task: LossTask, *, alpha: float) -> Loss:
    """1 - Tversky index over all labelled pixels of the batch, mean over the classes with training pixels.

    Unlike `tversky`, which skips classes that are not in an image, it penalises predictions of a class that is not in
    the batch. The numerator and the denominator are smoothed by 1, so that the index is 1 for a class that is neither
    in the labels nor predicted. Sudre et al. 2017, "Generalised Dice overlap", section 2.2, explain why to pool a rare
    class over images.
    """
    return _batch_tversky(task, alpha=alpha)


def _batch_tversky(task: LossTask, *, alpha: float) -> Loss:
    drawn = [label for label in task.described.scored_labels if task.pixel_counts[label] > 0]

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        labelled = (target != task.ignore_index).unsqueeze(1)
        probabilities = logits.softmax(1)[:, drawn] * labelled
        labels = torch.tensor(drawn, device=target.device).view(1, -1, 1, 1)
        members = ((target.unsqueeze(1) == labels) & labelled).float()
        hits = (probabilities * members).sum((0, 2, 3))
        false_positives = probabilities.sum((0, 2, 3)) - hits
        false_negatives = members.sum((0, 2, 3)) - hits
        return (1 - (hits + 1) / (hits + alpha * false_positives + (1 - alpha) * false_negatives + 1)).mean()

    return loss


def _tversky(task: LossTask, *, false_positive: float, false_negative: float) -> Loss:
    from kornia.losses import tversky_loss

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean = tversky_loss(logits, target, alpha=false_positive, beta=false_negative, ignore_index=task.ignore_index)
        return _over_labelled_images(mean, target, task)

    return loss


def _over_labelled_images(mean: torch.Tensor, target_nhw: torch.Tensor, task: LossTask) -> torch.Tensor:
    """Convert kornia's mean over all images to the mean over those with labelled pixels (0 if there are none)."""
    # In kornia's mean, an image without labelled pixels counts as a constant 1: subtract it.
    labelled = (target_nhw != task.ignore_index).flatten(1).any(1).sum()
    return (mean * len(target_nhw) - (len(target_nhw) - labelled)) / labelled.clamp(min=1)
