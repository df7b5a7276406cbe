"""Lovasz-Softmax loss over labelled pixels."""

from __future__ import annotations

import torch

from trainables.losses.task import Loss, LossTask


def lovasz_softmax(task: LossTask) -> Loss:
    """Lovasz extension of 1 - IoU, mean over the classes that the batch's labelled pixels hold.

    Berman et al. 2018, "The Lovasz-Softmax loss", section 3.2. All images of the batch are one set of pixels, as they
    are where IoU is scored.
    """
    # kornia has a loss of that name, but it knows no ignored label.

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        probabilities = logits.softmax(1).transpose(0, 1).flatten(1)
        labels = target.flatten()
        labelled = labels != task.ignore_index
        classes = torch.arange(len(probabilities), device=labels.device)
        members = (labels == classes.unsqueeze(1)) & labelled
        errors = torch.where(members, 1 - probabilities, probabilities)
        # Unlabelled pixels come last, where weights are 0. Selecting the others would make a GPU wait for their number.
        errors, order = errors.masked_fill(~labelled, -1.0).sort(dim=1, descending=True)
        per_class = (errors * jaccard_steps(members.gather(1, order))).sum(1)
        return per_class.sum() / members.any(1).sum().clamp(min=1)

    return loss


def jaccard_steps(members: torch.Tensor) -> torch.Tensor:
    """By how much 1 - IoU of a class grows with each further wrong pixel: algorithm 1 of the paper.

    Args:
        members: (classes, pixels) bool, whether a pixel is of the class; those that become wrong first come first.

    Returns:
        (classes, pixels) float32, at least 0; 0 once all of the class is wrong, and for a class without a pixel.
    """
    # Algorithm 1 takes differences of 1 - IoU, tiny ones of numbers near 1. These are the same in closed form: a missed
    # pixel of the class takes 1 from the intersection, any other adds 1 to the union.
    missed, added = members.cumsum(1), (~members).cumsum(1)
    size = members.sum(1, keepdim=True)
    intersection, union = size - missed, size + added
    if_missed = 1 / union.clamp(min=1)
    if_added = intersection / (union * (union - 1)).clamp(min=1)
    return torch.where(members, if_missed, if_added)
