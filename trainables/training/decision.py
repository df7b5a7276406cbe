"""From class probabilities to labels: what a model's probabilities leave open, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

LEAST = 1e-6
"""Probabilities below count as this: their logarithms stay finite, also in bf16 sums."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The label of a pixel x is that of the highest log p_c(x) + offset_c + prior log mean_x' p_c(x').

    The offsets are a logit adjustment (Menon et al. 2021, "Long-tail learning via logit adjustment", section 4.1): the
    score of a rare class may gain where it is predicted more often than it is likely. The mean over the image's pixels
    is what the model takes for the image's own class shares; as a prior it favours classes that the image shows
    elsewhere. Regions smaller than `smallest` pixels get the label that is next best in each of their pixels.
    """

    offsets: tuple[float, ...] = ()
    """One a class; empty: none."""
    prior: float = 0.0
    """Exponent of the image's own class shares, at least 0."""
    smallest: int = 0
    """Pixels of the smallest region of one label that is left; 0 or 1: all are."""

    def scores(self, probabilities_nchw: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) fp32; minus infinity where a probability is 0, as that of a suppressed class is."""
        logs = probabilities_nchw.clamp(min=LEAST).log()
        if self.offsets:
            logs = logs + logs.new_tensor(self.offsets).view(-1, 1, 1)
        if self.prior:
            shares = probabilities_nchw.mean((2, 3), keepdim=True).clamp(min=LEAST)
            logs = logs + self.prior * shares.log()
        return logs.masked_fill(probabilities_nchw == 0, -torch.inf)

    def labels(self, probabilities_nchw: torch.Tensor) -> torch.Tensor:
        """(N, H, W) int64 of probabilities (N, C, H, W) fp32."""
        if self == PLAIN:
            return probabilities_nchw.argmax(1)
        scores = self.scores(probabilities_nchw)
        labels = scores.argmax(1)
        if self.smallest > 1:
            small = torch.from_numpy(np.stack([small_regions(mask, self.smallest) for mask in labels.cpu().numpy()]))
            own = torch.nn.functional.one_hot(labels, scores.shape[1]).movedim(-1, 1).bool()
            best, following = scores.masked_fill(own, -torch.inf).max(1)
            labels = torch.where(small.to(labels.device) & best.isfinite(), following, labels)
        return labels


PLAIN = Decision()
"""The most probable class."""


def small_regions(labels_hw: np.ndarray, smallest: int) -> np.ndarray:
    """(H, W) bool: pixels of connected regions of one label with fewer pixels; those that touch at a corner connect."""
    small = np.zeros(labels_hw.shape, dtype=bool)
    for label in np.unique(labels_hw):
        _, numbers, boxes, _ = cv2.connectedComponentsWithStats((labels_hw == label).astype(np.uint8))
        few = boxes[:, cv2.CC_STAT_AREA] < smallest
        few[0] = False  # everything else
        small |= few[numbers]
    return small
