"""The properties of a data set that losses need, and a loss that knows the pixels that it is a mean over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from trainables.data import DataDescription

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A function that maps logits (N, C, H, W) and labels (N, H, W) int64 to a scalar."""


@dataclass(frozen=True, kw_only=True)
class LossTask:
    """The classes, and the number of pixels of each that training draws."""

    described: DataDescription
    pixel_counts: np.ndarray
    """(num_classes,) number of pixels of each class."""

    @property
    def ignore_index(self) -> int:
        """Label of the pixels to exclude; -100, which occurs in no mask, if no label is ignored."""
        return self.described.ignore_index

    def labelled_pixels(self, target_nhw: torch.Tensor) -> torch.Tensor:
        """Return the number of labelled pixels, at least 1, so that a mean over no pixels is 0: a scalar int64."""
        return (target_nhw != self.ignore_index).sum().clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class TrainingLoss:
    """The loss of a configuration: a mean over the pixels whose label is not left out."""

    function: Loss
    ignore_index: int
    """Label of the pixels that are left out; -100, which occurs in no mask, if none are."""

    def __call__(self, logits_nchw: torch.Tensor, target_nhw: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (N, C, H, W) and labels (N, H, W) int64: a scalar."""
        return self.function(logits_nchw, target_nhw)

    def pixels(self, target_nhw: torch.Tensor) -> torch.Tensor:
        """Return the number of pixels that the loss is a mean over, its weight in a mean of losses: a scalar int64."""
        return (target_nhw != self.ignore_index).sum()
