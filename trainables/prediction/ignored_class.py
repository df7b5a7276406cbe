"""Keeps the ignored class out of predictions."""

from __future__ import annotations

import torch


def suppress(logits: torch.Tensor, ignored_label: int | None) -> torch.Tensor:
    """Return a copy of logits (N, C, H, W) with -inf for the ignored class, so that it is never predicted.

    The score excludes pixels whose true label is the ignored one, so that predicting it is always an error.
    `keras.metrics.MeanIoU(ignore_class=0)` even counts such predictions as an additional class with an IoU of 0.
    Without an ignored label, the logits are returned unchanged.
    """
    if ignored_label is None:
        return logits
    logits = logits.clone()
    logits[:, ignored_label] = -torch.inf
    return logits
