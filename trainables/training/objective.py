"""The objective that a training step minimises."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainables.device import autocast
from trainables.losses import Loss
from trainables.models import Model

PRESENCE_WEIGHT = 0.2
"""Weight of the loss of the class head (Zhang et al. 2018, section 4.1)."""


class Objective(nn.Module):
    """A model and its losses: the configured one, and those of the background network and the class head.

    Args:
        model: the model to train.
        loss: the configured loss of logits and masks.
        ignored_label: the target of the background network, excluded from the loss of the class head; None: no label is
            ignored.
        bf16: whether the model computes under bf16 autocast. Losses are computed in fp32.
    """

    def __init__(self, model: Model, loss: Loss, *, ignored_label: int | None, bf16: bool):
        super().__init__()
        self.model, self.loss, self.ignored_label, self.bf16 = model, loss, ignored_label, bf16

    def forward(self, images_nchw: torch.Tensor, masks_nhw: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch in two parts, (2,) fp32, to be added.

        The first is the configured loss of the logits and the auxiliary heads, a mean over the pixels that it does
        not leave out. The second is the loss of the background network, a mean over all pixels, plus that of the class
        head, a mean over all images.

        Args:
            images_nchw: (N, 1, H, W) float32 in [0, 1].
            masks_nhw: (N, H, W) int64.
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
        """Return the binary cross-entropy of class presence, mean over scored classes and all images: a scalar."""
        classes = torch.arange(presence_nc.shape[1], device=masks_nhw.device)
        shown_nc = (masks_nhw.flatten(1).unsqueeze(1) == classes.view(1, -1, 1)).any(2)
        scored = classes != (-1 if self.ignored_label is None else self.ignored_label)
        shown_nc = shown_nc & scored
        each = functional.binary_cross_entropy_with_logits(presence_nc, shown_nc.float(), reduction="none")
        labelled = shown_nc.any(1, keepdim=True)
        # Images without labels have loss 0 and count in the mean, so that micro-batches add up to the whole batch.
        return (each * (scored & labelled)).sum() / (scored.sum() * len(presence_nc))
