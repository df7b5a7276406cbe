"""Finds training pairs that are no data: they are dropped, and the report says which and why."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from trainables.data.description import DataDescription

SHARED_BY = 3
"""A mask of several classes that at least this many images share is no labelling of them."""
MEAN_DEVIATIONS = 6.0
"""An image whose mean pixel is further from the median of all, in robust standard deviations, is an outlier."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Training pairs that were left out for one reason."""

    reason: str
    """A verb phrase: images that ..."""
    indices: tuple[int, ...]
    """Positions in the file's training_set."""


def audit(images: np.ndarray, masks: np.ndarray, description: DataDescription) -> list[Dropped]:
    """What to drop of images and masks (N, H, W).

    Shared masks: the same pixel-exact mask of two or more scored classes under three or more images cannot be a
    labelling of them (the competition hides 110 such "aliens"). Masks of one class, also where part of the image is
    unlabelled, repeat legitimately; and a pair may be two shots of one scene.

    Mean pixel: beyond 6 robust standard deviations (1.4826 times the median absolute deviation) of the median.
    """
    return [dropped for dropped in (_shared_masks(masks, description), _odd_brightness(images)) if dropped.indices]


def _shared_masks(masks: np.ndarray, description: DataDescription) -> Dropped:
    images_of: dict[bytes, list[int]] = defaultdict(list)
    for index, mask in enumerate(masks):
        images_of[hashlib.blake2b(mask.tobytes(), digest_size=16).digest()].append(index)
    scored = description.scored_labels
    indices = [
        index
        for group in images_of.values()
        if len(group) >= SHARED_BY and len(np.intersect1d(masks[group[0]], scored)) >= 2
        for index in group
    ]
    return Dropped(reason="share one and the same mask of several classes", indices=tuple(sorted(indices)))


def _odd_brightness(images: np.ndarray) -> Dropped:
    means = images.mean(axis=(1, 2), dtype=np.float64)
    distances = np.abs(means - np.median(means))
    # A spread below half a grey level would call rounding an outlier.
    grey_level = 1 / 255 if images.dtype.kind == "f" else 1.0
    deviation = max(1.4826 * float(np.median(distances)), 0.5 * grey_level)
    odd = np.flatnonzero(distances > MEAN_DEVIATIONS * deviation)
    return Dropped(
        reason=f"have a mean pixel more than {MEAN_DEVIATIONS:g} robust standard deviations from the median",
        indices=tuple(map(int, odd)),
    )
