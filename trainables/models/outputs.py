"""The outputs of a model in training."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Outputs(NamedTuple):
    """All outputs for a batch of images (N, in_channels, H, W)."""

    logits: torch.Tensor
    """Logits of the prediction: (N, num_classes, H, W)."""
    auxiliary: list[tuple[float, torch.Tensor]]
    """Loss weight and logits (N, num_classes, H, W) of each auxiliary head."""
    background: torch.Tensor | None = None
    """Logits that a pixel is unlabelled: (N, 1, H, W); None without a background network."""
    presence: torch.Tensor | None = None
    """Logits that a class is in the image: (N, num_classes); None without a class head."""
