"""The decision from class probabilities to labels, with a few parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trainables.prediction.regions import small_regions

LEAST = 1e-6
"""Lower bound of probabilities, so that their logarithms are finite, also if they were computed in bf16."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Chooses for each pixel x the class c with the highest log p_c(x) + offset_c + prior log mean_x' p_c(x').

    The offsets are a logit adjustment (Menon et al. 2021, "Long-tail learning via logit adjustment", section 4.1): the
    IoU of a rare class may improve if it is predicted more often than its probability suggests. The mean over the
    pixels of an image estimates the class shares of the image. As a prior it favours classes that are elsewhere in the
    image. Pixels of regions smaller than `smallest` get their second best label.
    """

    offsets: tuple[float, ...] = ()
    """One offset per class; empty: no offsets."""
    prior: float = 0.0
    """Exponent of the class shares of the image, at least 0."""
    smallest: int = 0
    """Size in pixels of the smallest region to keep; 0 or 1: keep all regions."""

    def scores(self, probabilities_nchw: torch.Tensor) -> torch.Tensor:
        """Return scores (N, C, H, W) fp32; -inf where a probability is 0, as for a suppressed class."""
        logs = probabilities_nchw.clamp(min=LEAST).log()
        if self.offsets:
            logs = logs + logs.new_tensor(self.offsets).view(-1, 1, 1)
        if self.prior:
            shares = probabilities_nchw.mean((2, 3), keepdim=True).clamp(min=LEAST)
            logs = logs + self.prior * shares.log()
        return logs.masked_fill(probabilities_nchw == 0, -torch.inf)

    def labels(self, probabilities_nchw: torch.Tensor) -> torch.Tensor:
        """Return labels (N, H, W) int64 of probabilities (N, C, H, W) fp32."""
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
"""Chooses the most probable class."""
