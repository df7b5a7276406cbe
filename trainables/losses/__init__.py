"""Training losses by name. All take logits (N, C, H, W) and labels (N, H, W) int64, and leave ignored pixels out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from trainables.config import LossConfig
from trainables.config_rules import PLUS
from trainables.data import DataDescription
from trainables.losses.boundary import boundary
from trainables.losses.cross_entropy import cross_entropy, weighted_cross_entropy
from trainables.losses.focal import focal
from trainables.losses.lovasz import lovasz_softmax
from trainables.losses.regions import batch_dice, batch_tversky, dice, jaccard, tversky
from trainables.losses.task import LossTask
from trainables.registry import lookup

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: dict[str, Callable[[LossConfig, LossTask], Loss]] = {
    "cross_entropy": cross_entropy,
    "weighted_cross_entropy": weighted_cross_entropy,
    "focal": focal,
    "dice": dice,
    "jaccard": jaccard,
    "tversky": tversky,
    "batch_dice": batch_dice,
    "batch_tversky": batch_tversky,
    "lovasz_softmax": lovasz_softmax,
    "boundary": boundary,
}
"""Name to builder(config, task)."""

__all__ = ["LOSSES", "Loss", "LossTask", "build_loss"]


def build_loss(config: LossConfig, *, described: DataDescription, pixel_counts: np.ndarray) -> Loss:
    """The loss of a configuration, computed in fp32 whatever precision the logits have.

    Args:
        config: which loss, or which weighted sum of losses, and their parameters.
        described: the classes; pixels of the ignored label have exactly zero gradient, unless the configuration says
            to learn them as a class.
        pixel_counts: (num_classes,) pixels of each class that training draws.

    Returns:
        A function of logits (N, num_classes, H, W) and target (N, H, W) int64 to a scalar fp32 tensor. A batch
        without a labelled pixel gives zero, with zero gradient.
    """
    if config.learn_ignored:
        described = dataclasses.replace(described, ignored_label=None)
    task = LossTask(described=described, pixel_counts=pixel_counts)
    terms = [lookup(LOSSES, name, "loss")(config, task) for name in config.name.split(PLUS)]
    weights = config.term_weights or (1.0,)

    def in_fp32(logits_nchw: torch.Tensor, target_nhw: torch.Tensor) -> torch.Tensor:
        with torch.autocast(logits_nchw.device.type, enabled=False):
            logits = logits_nchw.float()
            values = [weight * term(logits, target_nhw) for weight, term in zip(weights, terms, strict=True)]
            return torch.stack(values).sum()

    return in_fp32
