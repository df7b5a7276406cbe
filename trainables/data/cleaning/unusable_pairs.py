"""Finds training pairs that are probably not usable data. `drop_limits` decides which of them are dropped."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from trainables.data.description import DataDescription
from trainables.data.sizes.images import Images

SHARED_BY = 3
"""A mask of several classes that at least this many images share is not a real labelling."""
SHARED_MASK = "share one and the same mask of several classes"
MEAN_DEVIATIONS = 6.0
"""An image is an outlier if its mean pixel is more than this many robust standard deviations from the median."""


@dataclass(frozen=True, kw_only=True)
class Flagged:
    """Training pairs that a rule finds unusable, for the same reason."""

    reason: str
    """A verb phrase that completes "images that ..."."""
    indices: tuple[int, ...]
    """Indices of the images in the order of the data."""
    names: tuple[str, ...] = ()
    """Their names, for messages; empty: they have none, or they are not asked for."""


def unusable_pairs(images: Images, masks: Images, description: DataDescription) -> list[Flagged]:
    """Return the training pairs that are probably unusable, by reason. Images are (H, W) or (H, W, C).

    Shared masks: three or more images with pixel-identical masks of two or more scored classes cannot be a real
    labelling (the competition data contains 110 such "aliens"). Masks of a single class, with or without unlabelled
    pixels, may repeat; and two images with the same mask may show the same scene.

    Mean pixel: more than 6 robust standard deviations (1.4826 times the median absolute deviation) from the median.
    """
    return [dropped for dropped in (_shared_masks(masks, description), _odd_brightness(images)) if dropped.indices]


def _shared_masks(masks: Images, description: DataDescription) -> Flagged:
    images_of: dict[tuple[tuple[int, ...], bytes], list[int]] = defaultdict(list)
    for index, mask in enumerate(masks):
        images_of[mask.shape, hashlib.blake2b(mask.tobytes(), digest_size=16).digest()].append(index)
    scored = description.scored_labels
    indices = [
        index
        for group in images_of.values()
        if len(group) >= SHARED_BY and len(np.intersect1d(masks[group[0]], scored)) >= 2
        for index in group
    ]
    return Flagged(reason=SHARED_MASK, indices=tuple(sorted(indices)))


def _odd_brightness(images: Images) -> Flagged:
    means = np.array([image.mean(dtype=np.float64) for image in images])
    distances = np.abs(means - np.median(means))
    # At least half a grey level, so that rounding errors do not become outliers.
    grey_level = 1 / 255 if images.dtype.kind == "f" else 1.0
    deviation = max(1.4826 * float(np.median(distances)), 0.5 * grey_level)
    odd = np.flatnonzero(distances > MEAN_DEVIATIONS * deviation)
    return Flagged(
        reason=f"have a mean pixel more than {MEAN_DEVIATIONS:g} robust standard deviations from the median",
        indices=tuple(map(int, odd)),
    )
