"""Images that are nearly the same: copies in another compression, with noise, of another size or brightness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from trainables.data.grouping.details import reduced, scaled
from trainables.data.sizes.images import Images

SIDE = 32
"""Height and width of the small versions that are compared."""
LEVELS = 127
"""Largest absolute value in them: sums of SIDE**2 products are below 2**24, and so exact in float32."""
LEAST_CORRELATION = 0.9
ROWS = 256
"""Images that are compared with all later ones at a time."""


def copies(images: Sequence[np.ndarray] | Images) -> Iterator[tuple[int, int]]:
    """Yield pairs of images whose small versions, without their light, correlate: first the earlier image."""
    small = np.stack([fingerprint(image) for image in images]).astype(np.float32)
    norms = (small.astype(np.float64) ** 2).sum(axis=1)
    small, norms = small, np.where(norms > 0, norms, np.inf)
    for start in range(0, len(small), ROWS):
        products = (small[start : start + ROWS] @ small[start:].T).astype(np.float64)
        least = LEAST_CORRELATION**2 * norms[start : start + ROWS, None] * norms[None, start:]
        alike = np.argwhere((products > 0) & (products**2 >= least) & np.isfinite(least))
        for first, second in (alike + start).tolist():
            if first < second:
                yield first, second


def fingerprint(image: np.ndarray) -> np.ndarray:
    """Return the high-pass response of the image's small version: (SIDE**2,) int16 in -LEVELS to LEVELS."""
    small = reduced(image, 1)
    for axis in (0, 1):
        edges = np.arange(SIDE) * small.shape[axis] // SIDE
        counts = np.maximum(np.diff([*edges, small.shape[axis]]), 1)
        small = np.add.reduceat(small, edges, axis=axis) * 16 // np.expand_dims(counts, 1 - axis)
    values = small.astype(np.float64)
    return scaled(9 * values - cv2.boxFilter(values, -1, (3, 3), normalize=False), LEVELS).ravel()
