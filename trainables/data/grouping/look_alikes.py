"""Finds images that show the same thing: copies, and tiles that overlap.

All arithmetic that decides is on whole numbers, so that every machine finds the same groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.data.grouping.copies import copies
from trainables.data.grouping.details import Details, details_of, factor_for
from trainables.data.grouping.overlaps import Shift, overlap, shifts
from trainables.data.sizes.images import Images


def look_alikes(images: Sequence[np.ndarray] | Images) -> np.ndarray:
    """Group images that are nearly the same, or overlap as tiles of one frame do.

    Two images are linked if their small versions correlate, or if a shift makes them correlate where they overlap
    (see `copies` and `overlaps`). A group is all that links connect. Rotated and rescaled parts of one frame are not
    found, and an overlap of less than a quarter of a tile often is not.

    Args:
        images: N images, (H, W) or (H, W, C), uint8 or float32 in [0, 1].

    Returns:
        The number of each image's group in order of their first images: (N,) int64.
    """
    links = Links(len(images))
    for first, second in copies(images):
        links.join(first, second)
    factor = factor_for(images)
    details = [details_of(image, factor) for image in images]
    for shift in shifts(details):
        if links.root(shift.first) != links.root(shift.second) and _same(details, shift):
            links.join(shift.first, shift.second)
    return links.groups()


def _same(details: Sequence[Details], shift: Shift) -> bool:
    return overlap(details[shift.first].response, details[shift.second].response, shift.rows, shift.columns)


class Links:
    """Which of `count` images are connected (a union-find structure)."""

    def __init__(self, count: int):
        self._parent = list(range(count))

    def root(self, image: int) -> int:
        """Return the image that stands for all that this one is connected with: the first of them."""
        while self._parent[image] != image:
            self._parent[image] = image = self._parent[self._parent[image]]
        return image

    def join(self, first: int, second: int) -> None:
        """Connect two images."""
        low, high = sorted((self.root(first), self.root(second)))
        self._parent[high] = low

    def groups(self) -> np.ndarray:
        """Return the number of each image's group in order of their first images: (N,) int64."""
        roots = [self.root(image) for image in range(len(self._parent))]
        return np.unique(roots, return_inverse=True)[1].astype(np.int64)
