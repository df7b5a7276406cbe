"""What a training step minimises."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainables.device import autocast
from trainables.losses import Loss
from trainables.models import Model

PRESENCE_WEIGHT = 0.2
"""Of the class head's loss (Zhang et al. 2018, section 4.1)."""


class Objective(nn.Module):
    """A model and its losses: the configured one, the background network's and the class head's.

    Args:
        model: what is trained.
        loss: of logits and masks.
        ignored_label: what the background network looks for, and no class that an image shows.
        bf16: whether the model computes under autocast; losses are computed in fp32.
    """

    def __init__(self, model: Model, loss: Loss, *, ignored_label: int | None, bf16: bool):
        super().__init__()
        self.model, self.loss, self.ignored_label, self.bf16 = model, loss, ignored_label, bf16

    def forward(self, images_nchw: torch.Tensor, masks_nhw: torch.Tensor) -> torch.Tensor:
        """The loss of a batch in two parts, (2,): the configured one on the logits and auxiliary heads, a mean over the
        pixels that it counts; and what is a mean over all images or pixels.
        """
        with autocast(images_nchw.device, self.bf16):
            outputs = self.model.outputs(images_nchw)
        total = self.loss(outputs.logits, masks_nhw)
        for weight, logits in outputs.auxiliary:
            total = total + weight * self.loss(logits, masks_nhw)
        other = total.new_zeros(())
        if outputs.background is not None:
            assert self.ignored_label is not None
            ignored = masks_nhw.eq(self.ignored_label).float()
            other = other + functional.binary_cross_entropy_with_logits(outputs.background[:, 0].float(), ignored)
        if outputs.presence is not None:
            other = other + PRESENCE_WEIGHT * self._presence(outputs.presence.float(), masks_nhw)
        return torch.stack([total, other])

    def _presence(self, presence_nc: torch.Tensor, masks_nhw: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of "the image shows this class", mean over the classes and over images with a label."""
        classes = torch.arange(presence_nc.shape[1], device=masks_nhw.device)
        shown_nc = (masks_nhw.flatten(1).unsqueeze(1) == classes.view(1, -1, 1)).any(2)
        scored = classes != (-1 if self.ignored_label is None else self.ignored_label)
        shown_nc = shown_nc & scored
        each = functional.binary_cross_entropy_with_logits(presence_nc, shown_nc.float(), reduction="none")
        labelled = shown_nc.any(1, keepdim=True)
        # Images without a label say nothing, and still count in the mean: a batch's parts add up to the batch.
        return (each * (scored & labelled)).sum() / (scored.sum() * len(presence_nc))
