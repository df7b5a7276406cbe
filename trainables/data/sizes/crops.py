"""Parts of images: random crops to train on, and tiles that count each pixel of an image once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.sizes.images import Size

if TYPE_CHECKING:
    from trainables.data import PreparedData

Box = tuple[slice, slice]
"""Rows and columns of a part of an image."""


def crops_in(sizes: np.ndarray, crop: Size) -> np.ndarray:
    """Return how many crops of an image an epoch trains on: (N,) int64, for sizes (N, 2).

    They have about as many pixels as the image, and there is at least one. Images of the size of a crop have one.
    """
    return np.maximum(1, np.rint(sizes.prod(axis=1) / (crop[0] * crop[1])).astype(np.int64))


def random_crop(
    data: PreparedData, index: int, rng: np.random.Generator, *, around: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random crop of an image, and its mask: (height, width[, C]) and (height, width) of the data's crops.

    Every position within the image is equally likely. An image that is smaller than a crop is continued by its mirror
    image, and its mask likewise: the labels of mirrored pixels are as true as a flipped image's. Where all images are
    as large as a crop, this is the whole image, uncopied, and nothing is drawn.

    Args:
        data: the data set.
        index: index of the image.
        rng: draws the position.
        around: a label: the crop holds a pixel that is drawn among those with this label, if there are any.
    """
    image, mask = data.images[index], data.masks[index]
    if data.whole:
        return image, mask
    pixel = None
    if around is not None and len(places := np.flatnonzero(mask == around)):
        pixel = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    box = []
    for axis, (length, part) in enumerate(zip(mask.shape, data.crop, strict=True)):
        first, last = 0, max(0, length - part)
        if pixel is not None:
            first, last = max(first, pixel[axis] - part + 1), min(last, pixel[axis])
        start = int(rng.integers(first, last + 1))
        box.append(slice(start, start + part))
    return mirror_padded(image[tuple(box)], data.crop), mirror_padded(mask[tuple(box)], data.crop)


def mirror_padded(image: np.ndarray, size: Size) -> np.ndarray:
    """Return a copy of an image (H, W[, C]), continued by its mirror image below and to the right up to a size."""
    missing = [(0, max(0, part - length)) for length, part in zip(image.shape, size, strict=False)]
    return np.pad(image, missing + [(0, 0)] * (image.ndim - 2), mode="symmetric")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A part of an image that is evaluated on its own."""

    index: int
    """Index of the image."""
    box: Box
    """What the network sees: the size of a crop, or less if the image is smaller."""
    counted: Box
    """The rows and columns of the box that count; the others count in another tile."""


def tiles_of(index: int, size: Size, crop: Size) -> Iterator[Tile]:
    """Yield the tiles of an image, row by row. Each pixel of the image counts in exactly one of them.

    Tiles lie side by side. The last ones of a row or column reach back into those before them, so that the network
    sees as much around their pixels.
    """
    for rows, counted_rows in _along(size[0], crop[0]):
        for columns, counted_columns in _along(size[1], crop[1]):
            yield Tile(index=index, box=(rows, columns), counted=(counted_rows, counted_columns))


def _along(length: int, part: int) -> Iterator[tuple[slice, slice]]:
    """Yield parts of a length, and what counts of each, relative to its start."""
    for start in range(0, length, part):
        begin = max(0, min(start, length - part))
        end = min(begin + part, length)
        yield slice(begin, end), slice(start - begin, end - begin)
