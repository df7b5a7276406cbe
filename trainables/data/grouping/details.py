"""The details of an image that are found again in its copies and in tiles that overlap it.

The band-pass response of an image shows neither its light nor its noise. Its extrema are the details: blobs and corners
of a few pixels. Each is described by a code of comparisons between pixels around it (BRIEF, Calonder et al. 2010).
OpenCV's own detectors (ORB, SIFT) leave a margin of 15 to 31 pixels, too much for tiles of 64 pixels, and compute with
floats.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from trainables.data.sizes.images import Images

WORKING_AREA = 2**14
"""Pixels to which larger images are reduced."""
CODE = 128
"""Bits of a code."""
APART = 4
"""Pixels, in rows or columns, within which a detail is the strongest."""
RADIUS = 5
"""Pixels around a detail that its code compares."""
MARGIN = 4
"""Pixels along the edges of an image whose response knows only half of their surroundings."""
LEVELS = 2047
"""Largest absolute value of a response."""
BINOMIAL, SURROUNDINGS = np.array([1.0, 4.0, 6.0, 4.0, 1.0]), 9
"""Kernels of the band-pass: their difference responds to blobs of about 4 pixels."""
FLOAT_LEVELS = 65535
"""Whole numbers that pixels of 0 to 1 become."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """Of one image."""

    response: np.ndarray
    """Band-pass response: (H, W) int16 in -LEVELS to LEVELS."""
    places: np.ndarray
    """Row and column of each detail: (K, 2) int32."""
    codes: np.ndarray
    """(K, CODE / 8) uint8."""


def factor_for(images: Sequence[np.ndarray] | Images) -> int:
    """Return the factor by which images are reduced, the same for all, so that tiles of one frame keep one scale."""
    areas = sorted(image.shape[0] * image.shape[1] for image in images)
    typical = areas[len(areas) // 2]
    factor = 1
    while typical > WORKING_AREA * factor**2:
        factor += 1
    return factor


def details_of(image: np.ndarray, factor: int) -> Details:
    """Return the details of an image (H, W) or (H, W, C), uint8 or float32 in [0, 1], reduced by a factor."""
    grey = reduced(image, factor).astype(np.float64)  # of whole numbers below 2**53: sums are exact
    smooth = cv2.sepFilter2D(grey, -1, BINOMIAL, BINOMIAL)
    surroundings = cv2.boxFilter(grey, -1, (SURROUNDINGS, SURROUNDINGS), normalize=False)
    band = SURROUNDINGS**2 * smooth - BINOMIAL.sum() ** 2 * surroundings
    response = scaled(band, LEVELS)
    places = _extrema(response)
    rows, columns = places[:, :1], places[:, 1:]
    first = response[rows + _FIRST[:, 0], columns + _FIRST[:, 1]]
    bits = first > response[rows + _SECOND[:, 0], columns + _SECOND[:, 1]]
    return Details(response=response, places=places.astype(np.int32), codes=np.packbits(bits, axis=1))


def reduced(image: np.ndarray, factor: int) -> np.ndarray:
    """Return the sums of blocks of factor x factor pixels over all channels: int64; a rest at the edges is cut."""
    whole = image if image.dtype.kind != "f" else np.rint(image * np.float32(FLOAT_LEVELS))
    grey = whole.astype(np.int64) if whole.ndim == 2 else whole.astype(np.int64).sum(axis=2)
    height, width = (max(1, length // factor) for length in grey.shape)
    grey = grey[: height * factor, : width * factor]
    return grey.reshape(height, grey.shape[0] // height, width, grey.shape[1] // width).sum(axis=(1, 3))


def scaled(values: np.ndarray, levels: int) -> np.ndarray:
    """Return the roots of whole numbers, with their signs, scaled to whole numbers of up to `levels`: int16.

    The root lets the texture count beside a few strong edges, which are straight and alike on many horizons.
    """
    largest = float(np.abs(values).max())
    if largest == 0:
        return np.zeros(values.shape, np.int16)
    return np.rint(np.copysign(np.sqrt(np.abs(values) / largest), values) * levels).astype(np.int16)


def _extrema(response: np.ndarray) -> np.ndarray:
    """Return rows and columns of local maxima and minima, whose surroundings are in the image."""
    kernel = np.ones((2 * APART + 1, 2 * APART + 1), np.uint8)
    highest = (response == cv2.dilate(response, kernel)) & (response > 0)
    lowest = (response == cv2.erode(response, kernel)) & (response < 0)
    inside = np.zeros(response.shape, bool)
    inside[RADIUS : response.shape[0] - RADIUS, RADIUS : response.shape[1] - RADIUS] = True
    return np.argwhere((highest | lowest) & inside)


def _comparisons() -> tuple[np.ndarray, np.ndarray]:
    """Return the two pixels of each comparison, as rows and columns from the detail: (CODE, 2) each.

    Both are about as far from the detail: it is brighter or darker than its surroundings, whatever it is.
    """
    rng = random.Random(0)
    offsets = range(-RADIUS, RADIUS + 1)
    disc = [(row, column) for row in offsets for column in offsets if 1 < row * row + column * column <= RADIUS**2 + 1]
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    while len(found) < CODE:
        one, other = (disc[int(rng.random() * len(disc))] for _ in range(2))
        if one < other and abs(np.hypot(*one) - np.hypot(*other)) < 1 and (one, other) not in found:
            found.append((one, other))
    return np.array([one for one, _ in found]), np.array([other for _, other in found])


_FIRST, _SECOND = _comparisons()
