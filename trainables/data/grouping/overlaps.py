"""Shifts that make two images show the same thing where they overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.grouping.details import CODE, LEVELS, MARGIN, Details

KEY = 20
"""Bits of a code by which details are looked up."""
NEIGHBOURS = 32
"""Number of details with the same key that one is compared with."""
MOST_DIFFERENT = 16
"""Bits in which codes of the same detail may differ."""
CLOSE = 8
"""Bits in which codes may differ if a single detail proposes a shift."""
TRIED = 3
"""Shifts that are tried for two images."""
LEAST_SHARE = 0.1
"""Part of the smaller image that must overlap."""
LEAST_PIXELS = 150
LEAST_CORRELATION = 0.8


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
    ranked = proposed[np.argsort(-votes, kind="stable")]
    columns_of = np.unravel_index(ranked, (len(details), len(details), span, span))
    tried: dict[tuple[int, int], int] = {}
    for first, second, rows, columns in np.stack([*columns_of[:2], *(each - span // 2 for each in columns_of[2:])], 1).tolist():
        if (count := tried.get((first, second), 0)) < TRIED:
            tried[first, second] = count + 1
            yield Shift(first=first, second=second, rows=rows, columns=columns)


def overlap(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> bool:
    """Return whether two responses (H, W) correlate where a shift makes them overlap."""
    area = 1
    parts = []
    for length, other, shift in zip(first.shape, second.shape, (rows, columns), strict=True):
        low, high = max(0, shift) + MARGIN, min(length, other + shift) - MARGIN
        area *= max(0, high - low)
        parts.append((slice(low, high), slice(low - shift, high - shift)))
    if area < max(LEAST_PIXELS, LEAST_SHARE * min(first.size, second.size)):
        return False
    (of_first, of_second), (across_first, across_second) = parts
    return correlation(first[of_first, across_first], second[of_second, across_second]) >= LEAST_CORRELATION


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the normalised correlation of two arrays of small whole numbers; 0 if one is constant."""
    x, y = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    assert len(x) * LEVELS**2 * len(x) < 2**53  # so that all sums are exact, in whatever order
    count, of_x, of_y = len(x), float(x.sum()), float(y.sum())
    spread = (count * float(x @ x) - of_x**2) * (count * float(y @ y) - of_y**2)
    return (count * float(x @ y) - of_x * of_y) / float(np.sqrt(spread)) if spread > 0 else 0.0


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
