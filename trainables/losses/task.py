"""What a loss needs to know of the data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

NOTHING_IGNORED = -100
"""A label that no mask holds, for losses that want one."""


@dataclass(frozen=True, kw_only=True)
class LossTask:
    """Classes, the ignored label, and how many training pixels each class has."""

    num_classes: int
    ignored_label: int | None
    pixel_counts: np.ndarray

    @property
    def ignore_index(self) -> int:
        return NOTHING_IGNORED if self.ignored_label is None else self.ignored_label

    def labelled_pixels(self, target_nhw: torch.Tensor) -> torch.Tensor:
        """Their number, at least 1: a sum over pixels divided by it is a mean that is 0 where nothing is labelled."""
        return (target_nhw != self.ignore_index).sum().clamp(min=1)
