"""Images of one size or of several, as arrays that are read from a disk when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels."""


class Images(Protocol):
    """N images (H, W) or (H, W, C) of one dtype: an array (N, H, W[, C]), an `ImageList` or `Chosen` of these.

    An index gives one image. A slice or an array of indices gives an array (K, H, W[, C]) of images of one size, and a
    list of images otherwise.
    """

    @property
    def dtype(self) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...

    def __iter__(self) -> Any: ...


class ImageList:
    """Images of different sizes whose pixels follow each other.

    Args:
        pixels: (P,) or (P, C), the pixels of all images row by row, usually memory-mapped.
        sizes: (N, 2) int64, height and width of each image.
    """

    def __init__(self, pixels: np.ndarray, sizes: np.ndarray):
        self._pixels, self.sizes = pixels, sizes
        self._ends = np.cumsum(sizes.prod(axis=1))
        assert len(pixels) == (self._ends[-1] if len(sizes) else 0)

    @property
    def dtype(self) -> np.dtype:
        return self._pixels.dtype

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: Any, /) -> Any:
        """Return a view (H, W[, C]) of an image, or a list of views for a slice or an array of indices."""
        if isinstance(index, slice) or np.ndim(index):
            return [self[each] for each in np.arange(len(self))[index]]
        place = range(len(self))[index]
        height, width = (int(length) for length in self.sizes[place])
        end = int(self._ends[place])
        return self._pixels[end - height * width : end].reshape(height, width, *self._pixels.shape[1:])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


class Chosen(Sequence[np.ndarray]):
    """Some of the images, in the order of their indices. None is copied before it is asked for.

    Args:
        images: the images.
        indices: (K,) indices into them.
    """

    def __init__(self, images: Images, indices: np.ndarray):
        self._images, self._indices = images, np.asarray(indices, np.int64)

    @property
    def dtype(self) -> Any:
        return self._images.dtype

    @property
    def sizes(self) -> np.ndarray:
        return sizes_of(self._images)[self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any, /) -> Any:
        chosen = self._indices[index]
        return self._images[chosen if np.ndim(chosen) else int(chosen)]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._images[int(index)] for index in self._indices)


def sizes_of(images: Images) -> np.ndarray:
    """Return (height, width) of each image: (N, 2) int64."""
    if isinstance(images, ImageList | Chosen):
        return images.sizes
    assert isinstance(images, np.ndarray)
    return np.tile(np.array(images.shape[1:3], np.int64), (len(images), 1))


def sample_within(indices: np.ndarray, costs: np.ndarray, most: int) -> np.ndarray:
    """Return the images to work on within a limit: all, or a seeded sample, sorted; at least one.

    Args:
        indices: (K,) indices of the images.
        costs: (K,) what each adds to the total, such as its bytes.
        most: largest total.
    """
    if costs.sum() <= most:
        return indices
    order = np.random.default_rng(0).permutation(len(indices))
    count = int(np.searchsorted(costs[order].cumsum(), most, side="right"))
    return np.sort(indices[order[: max(1, count)]])


def by(size: Sequence[int] | np.ndarray) -> str:
    """Return a size as people write it: "64x128"."""
    return f"{size[0]}x{size[1]}"


def range_of(sizes: np.ndarray) -> str:
    """Return the sizes (N, 2) in words: "64x128", or "200x300 to 1200x1600" from the lowest to the highest sides."""
    low, high = by(sizes.min(axis=0)), by(sizes.max(axis=0))
    return low if low == high else f"{low} to {high}"
