"""What a training step minimises."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainables.device import autocast
from trainables.losses import Loss
from trainables.models import Model


class Objective(nn.Module):
    """A model and its losses: the configured one on its logits and auxiliary heads, and the background network's.

    Args:
        model: what is trained.
        loss: of logits and masks.
        ignored_label: what the background network looks for, if the model has one.
        bf16: whether the model computes under autocast; losses are computed in fp32.
    """

    def __init__(self, model: Model, loss: Loss, *, ignored_label: int | None, bf16: bool):
        super().__init__()
        self.model, self.loss, self.ignored_label, self.bf16 = model, loss, ignored_label, bf16

    def forward(self, images_nchw: torch.Tensor, masks_nhw: torch.Tensor) -> torch.Tensor:
        """The loss of a batch in two parts, (2,): the mean over the pixels that the configured loss counts, and the
        background network's over all pixels.
        """
        with autocast(images_nchw.device, self.bf16):
            outputs = self.model.outputs(images_nchw)
        total = self.loss(outputs.logits, masks_nhw)
        for weight, logits in outputs.auxiliary:
            total = total + weight * self.loss(logits, masks_nhw)
        if outputs.background is None:
            return torch.stack([total, total.new_zeros(())])
        assert self.ignored_label is not None
        ignored = masks_nhw.eq(self.ignored_label).float()
        found = functional.binary_cross_entropy_with_logits(outputs.background[:, 0].float(), ignored)
        return torch.stack([total, found])
