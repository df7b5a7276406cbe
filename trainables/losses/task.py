"""What a loss needs to know of the data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from trainables.data import DataDescription

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (N, C, H, W) and labels (N, H, W) int64 to a scalar."""


@dataclass(frozen=True, kw_only=True)
class LossTask:
    """The classes, and how many of the pixels that training draws each has."""

    described: DataDescription
    pixel_counts: np.ndarray
    """(num_classes,) pixels of each class."""

    @property
    def ignore_index(self) -> int:
        return self.described.ignore_index

    def labelled_pixels(self, target_nhw: torch.Tensor) -> torch.Tensor:
        """Their number, at least 1: a sum over pixels divided by it is a mean that is 0 where nothing is labelled."""
        return (target_nhw != self.ignore_index).sum().clamp(min=1)
