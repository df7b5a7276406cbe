"""Training losses by name. All take logits (N, C, H, W) and labels (N, H, W) int64, and leave ignored pixels out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from trainables.config import LossConfig
from trainables.data import DataDescription
from trainables.losses.cross_entropy import cross_entropy, weighted_cross_entropy
from trainables.losses.dice import dice
from trainables.losses.focal import focal
from trainables.losses.task import LossTask
from trainables.registry import lookup

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: dict[str, Callable[[LossConfig, LossTask], Loss]] = {
    "cross_entropy": cross_entropy,
    "weighted_cross_entropy": weighted_cross_entropy,
    "focal": focal,
    "dice": dice,
}
"""Name to builder(config, task)."""

__all__ = ["LOSSES", "Loss", "LossTask", "build_loss"]


def build_loss(config: LossConfig, *, described: DataDescription, pixel_counts: np.ndarray) -> Loss:
    """The loss of a configuration, computed in fp32 whatever precision the logits have.

    Args:
        config: which loss, and its parameters.
        described: the classes; pixels of the ignored label have exactly zero gradient.
        pixel_counts: (num_classes,) pixels of each class in the training masks.

    Returns:
        A function of logits (N, num_classes, H, W) and target (N, H, W) int64 to a scalar fp32 tensor. A batch
        without a labelled pixel gives zero, with zero gradient.
    """
    task = LossTask(described=described, pixel_counts=pixel_counts)
    loss = lookup(LOSSES, config.name, "loss")(config, task)

    def in_fp32(logits_nchw: torch.Tensor, target_nhw: torch.Tensor) -> torch.Tensor:
        with torch.autocast(logits_nchw.device.type, enabled=False):
            return loss(logits_nchw.float(), target_nhw)

    return in_fp32
