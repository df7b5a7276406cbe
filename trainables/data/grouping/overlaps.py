"""Shifts that make two images show the same thing where they overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.grouping.details import CODE, MARGIN, Details

KEY = 20
"""Bits of a code by which details are looked up."""
NEIGHBOURS = 32
"""Number of details with the same key that one is compared with."""
MOST_DIFFERENT = 24
"""Bits in which codes of the same detail may differ."""
CLOSE = 14
"""Bits in which codes may differ if a single detail proposes a shift."""
TRIED = 3
"""Shifts that are tried for two images."""
LEAST_PIXELS = 100
"""Pixels in which images must overlap, without their margins."""
MANY_PIXELS = 400
LEAST_CORRELATION, OF_FEW_PIXELS = 0.85, 0.95
"""Correlations from which an overlap is one, the second if it has fewer than MANY_PIXELS."""

RING = [(row, column) for row in range(-4, 5) for column in range(-4, 5) if 16 <= row * row + column * column <= 20]
"""Shifts by about four pixels in all directions."""
MOST_RESIDUAL = 0.3
"""Largest part that remains of what is missing to a correlation of 1 after the best of the RING."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A shift between two images: the pixel (row, column) of the second shows what the first one's (row + rows, column
    + columns) does."""

    first: int
    second: int
    rows: int
    columns: int


def shifts(details: Sequence[Details]) -> Iterator[Shift]:
    """Yield the shifts that details of equal looks propose, those with the most such details first."""
    image = np.repeat(np.arange(len(details)), [len(each.places) for each in details])
    if not len(image):
        return
    places = np.concatenate([each.places for each in details]).astype(np.int64)
    codes = np.concatenate([each.codes for each in details])
    one, other, different = _matches(image, codes)
    shift = places[one] - places[other]
    span = 2 * int(places.max()) + 1  # of a shift
    key = np.ravel_multi_index(
        (image[one], image[other], *(shift.T + span // 2)), (len(details), len(details), span, span)
    )
    proposed, inverse, votes = np.unique(key, return_inverse=True, return_counts=True)
    closest = np.full(len(proposed), CODE)
    np.minimum.at(closest, inverse, different)
    proposed, votes = proposed[good := (votes > 1) | (closest <= CLOSE)], votes[good]
    ranked = np.unravel_index(proposed[np.argsort(-votes, kind="stable")], (len(details), len(details), span, span))
    tried: dict[tuple[int, int], int] = {}
    for first, second, rows, columns in np.stack(ranked, axis=1).tolist():
        if (count := tried.get((first, second), 0)) < TRIED:
            tried[first, second] = count + 1
            yield Shift(first=first, second=second, rows=rows - span // 2, columns=columns - span // 2)


def overlap(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> bool:
    """Return whether two responses (H, W) show the same where a shift makes them overlap.

    They must correlate there, and much more than after other shifts by a few pixels: along a straight edge, such as a
    horizon, all shifts correlate, whatever the images show.
    """
    area, found = correlation_after(first, second, rows, columns)
    if area < LEAST_PIXELS or found < (LEAST_CORRELATION if area >= MANY_PIXELS else OF_FEW_PIXELS):
        return False
    around = (correlation_after(first, second, rows + row, columns + column) for row, column in RING)
    others = [other for size, other in around if size >= LEAST_PIXELS]
    return 1 - found <= MOST_RESIDUAL * (1 - max(others, default=0.0))


def correlation_after(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> tuple[int, float]:
    """Return the pixels in which a shift makes two responses (H, W) overlap, without margins, and the correlation."""
    area = 1
    parts = []
    for length, other, shift in zip(first.shape, second.shape, (rows, columns), strict=True):
        low, high = max(0, shift) + MARGIN, min(length, other + shift) - MARGIN
        area *= max(0, high - low)
        parts.append((slice(low, high), slice(low - shift, high - shift)))
    (of_first, of_second), (across_first, across_second) = parts
    if area < LEAST_PIXELS:
        return area, 0.0
    return area, correlation(first[of_first, across_first], second[of_second, across_second])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the normalised correlation of two arrays of small whole numbers; 0 if one is constant."""
    x, y = one.ravel().astype(np.int64), other.ravel().astype(np.int64)
    count, of_x, of_y = len(x), int(x.sum()), int(y.sum())
    spread = (count * int(x @ x) - of_x**2) * (count * int(y @ y) - of_y**2)
    return (count * int(x @ y) - of_x * of_y) / math.sqrt(spread) if spread > 0 else 0.0


def _matches(image: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs of details of different images with similar codes, each once, and the bits in which they differ.

    The first detail of a pair is of the earlier image.
    """
    words = codes.view("<u8")
    found = []
    for key in _keys(words):
        order = np.argsort(key, kind="stable")
        for step in range(1, NEIGHBOURS):
            one, other = order[:-step], order[step:]
            equal = key[one] == key[other]
            if not equal.any():
                break
            one, other = one[equal], other[equal]
            different = np.bitwise_count(words[one] ^ words[other]).sum(axis=1)
            good = (different <= MOST_DIFFERENT) & (image[one] != image[other])
            found.append(one[good] * len(image) + other[good])
    pairs = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    one, other = pairs // len(image), pairs % len(image)
    return one, other, np.bitwise_count(words[one] ^ words[other]).sum(axis=1)


def _keys(words: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the keys of codes (N, CODE / 64) uint64: three of each word."""
    for word in words.T:
        for low in range(0, 64 - KEY + 1, KEY):
            yield (word >> np.uint64(low)) & np.uint64(2**KEY - 1)
