"""Builds the loss of a configuration: one loss, or a weighted sum of several."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from trainables.data import DataDescription
from trainables.losses.config import LossConfig
from trainables.losses.registry import LOSSES
from trainables.losses.task import LossTask, TrainingLoss
from trainables.registry import lookup
from trainables.validation import PLUS


def build_loss(config: LossConfig, *, described: DataDescription, pixel_counts: np.ndarray) -> TrainingLoss:
    """Build the loss of a configuration. It is computed in fp32 for logits of any precision.

    Args:
        config: the loss, or the weighted sum of losses, and their parameters.
        described: the classes. Pixels of the ignored label have exactly zero gradient, unless `config.learn_ignored` is
            set.
        pixel_counts: (num_classes,) number of pixels of each class that training draws.

    Returns:
        A function that maps logits (N, num_classes, H, W) and target (N, H, W) int64 to a scalar fp32 tensor. For a
        batch without labelled pixels the loss and its gradient are 0.
    """
    if config.learn_ignored:
        described = dataclasses.replace(described, ignored_label=None)
    task = LossTask(described=described, pixel_counts=pixel_counts)
    components = [lookup(LOSSES, name, "loss") for name in config.name.split(PLUS)]
    terms = [component.build(task, given=config.parameters) for component in components]
    weights = config.term_weights or (1.0,)

    def in_fp32(logits_nchw: torch.Tensor, target_nhw: torch.Tensor) -> torch.Tensor:
        with torch.autocast(logits_nchw.device.type, enabled=False):
            logits = logits_nchw.float()
            values = [weight * term(logits, target_nhw) for weight, term in zip(weights, terms, strict=True)]
            return torch.stack(values).sum()

    return TrainingLoss(function=in_fp32, ignore_index=task.ignore_index)
