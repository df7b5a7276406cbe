"""Limits to what is dropped from a data set without being asked: a rule that finds too much may be wrong about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.data.cleaning.unusable_pairs import SHARED_MASK, Flagged
from trainables.data.description import DataDescription
from trainables.data.sizes.images import Images

MOST_OF_IMAGES = 0.01
"""Maximum fraction of the images that a rule drops."""
MOST_OF_CLASS = 0.5
"""Maximum fraction, of the images that hold a class, that a rule drops."""


def within_limits(
    found: Sequence[Flagged], masks: Images, description: DataDescription
) -> tuple[list[Flagged], list[Flagged]]:
    """Split the pairs that the rules found into those to drop, and those that are kept with a warning.

    A rule that finds more than a hundredth of the images, or most images of a scored class, has found a property of the
    data: an object that is bright makes its images bright. Shared masks are dropped from data with the competition's
    classes in any number: its file is known to hold 110 of them.

    Args:
        found: what `unusable_pairs` returned.
        masks: N masks (H, W) of labels.
        description: the meaning of the labels.
    """
    holds = np.stack([np.isin(description.scored_labels, np.unique(mask)) for mask in masks])
    dropped: list[Flagged] = []
    kept: list[Flagged] = []
    for pairs in found:
        known = pairs.reason == SHARED_MASK and description.of_competition
        (dropped if known or _few(pairs, holds) else kept).append(pairs)
    return dropped, kept


def _few(pairs: Flagged, holds: np.ndarray) -> bool:
    """Return whether the pairs are few of all images, and of those of each class: `holds` is (N, C) bool."""
    if len(pairs.indices) > MOST_OF_IMAGES * len(holds):
        return False
    return bool((holds[list(pairs.indices)].sum(axis=0) <= MOST_OF_CLASS * holds.sum(axis=0)).all())
