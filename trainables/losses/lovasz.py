"""Lovasz-Softmax loss over labelled pixels."""

from __future__ import annotations

import torch

from trainables.losses.task import Loss, LossTask


def lovasz_softmax(task: LossTask) -> Loss:
    """Lovasz extension of 1 - IoU, mean over the classes in the labelled pixels of the batch.

    Berman et al. 2018, "The Lovasz-Softmax loss", section 3.2. The pixels of all images of the batch are one set, as in
    the score.
    """
    # The loss of the same name in kornia does not support an ignored label.

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        probabilities = logits.softmax(1).transpose(0, 1).flatten(1)
        labels = target.flatten()
        labelled = labels != task.ignore_index
        classes = torch.arange(len(probabilities), device=labels.device)
        members = (labels == classes.unsqueeze(1)) & labelled
        errors = torch.where(members, 1 - probabilities, probabilities)
        # Unlabelled pixels are sorted last, where weights are 0. Boolean indexing would synchronise with the GPU.
        errors, order = errors.masked_fill(~labelled, -1.0).sort(dim=1, descending=True)
        per_class = (errors * jaccard_steps(members.gather(1, order))).sum(1)
        return per_class.sum() / members.any(1).sum().clamp(min=1)

    return loss


def jaccard_steps(members: torch.Tensor) -> torch.Tensor:
    """Return the increase of 1 - IoU of a class with each further wrong pixel (algorithm 1 of the paper).

    Args:
        members: (classes, pixels) bool, whether a pixel is of the class; pixels in the order in which they become
            wrong.

    Returns:
        (classes, pixels) float32, at least 0; 0 once all pixels of a class are wrong, and for a class without pixels.
    """
    # Algorithm 1 subtracts consecutive values of 1 - IoU, which loses precision. This is the closed form: a missed
    # pixel of the class reduces the intersection by 1, any other pixel increases the union by 1.
    missed, added = members.cumsum(1), (~members).cumsum(1)
    size = members.sum(1, keepdim=True)
    intersection, union = size - missed, size + added
    if_missed = 1 / union.clamp(min=1)
    if_added = intersection / (union * (union - 1)).clamp(min=1)
    return torch.where(members, if_missed, if_added)
