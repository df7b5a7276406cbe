"""What a model gives in training, beside what it predicts."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Outputs(NamedTuple):
    """All of one batch's images (N, in_channels, H, W)."""

    logits: torch.Tensor
    """(N, num_classes, H, W)."""
    auxiliary: list[tuple[float, torch.Tensor]]
    """Auxiliary heads: the weight of each one's loss, and its logits (N, num_classes, H, W)."""
    background: torch.Tensor | None = None
    """(N, 1, H, W) logits of "this pixel is unlabelled", where there is a network for it."""
    presence: torch.Tensor | None = None
    """(N, num_classes) logits of "the image shows this class", where there is a head for it."""
