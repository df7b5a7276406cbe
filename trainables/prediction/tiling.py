"""Tiles: large images are predicted in overlapping parts whose probabilities are blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainables.data.sizes.crops import Box, mirror_padded


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Covers images of any size with tiles of one size."""

    height: int
    width: int
    overlap: float = 0.5
    """Smallest part of a tile, in [0, 1), that it shares with the next one of its row or column."""

    def boxes(self, height: int, width: int) -> Iterator[Box]:
        """Yield the boxes of tiles that cover an image, row by row. An image must be as large as a tile."""
        for top in starts(height, self.height, self.overlap):
            for left in starts(width, self.width, self.overlap):
                yield slice(top, top + self.height), slice(left, left + self.width)

    def count(self, size: Sequence[int]) -> int:
        """Return the number of tiles of an image (height, width)."""
        return len(starts(size[0], self.height, self.overlap)) * len(starts(size[1], self.width, self.overlap))

    def weights(self) -> torch.Tensor:
        """Return the weight of each pixel of a tile in the average, above 0: (height, width) fp32.

        It falls linearly towards the edges, where a network lacks context, so that no seam is left.
        """
        down, right = (
            torch.minimum(torch.arange(1, size + 1), torch.arange(size, 0, -1)).float()
            for size in (self.height, self.width)
        )
        return down[:, None] * right[None] / (down.max() * right.max())

    def padded(self, image: np.ndarray) -> np.ndarray:
        """Return an image (H, W[, C]) with its own mirror image below and to the right, at least as large as a tile."""
        if image.shape[0] >= self.height and image.shape[1] >= self.width:
            return image
        return mirror_padded(image, (self.height, self.width))


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return the first pixel of each of the fewest tiles that cover a length, evenly spread, each inside of it."""
    step = max(1, int(tile * (1 - overlap)))
    count = 1 + -(-max(0, length - tile) // step)
    return [round(place) for place in np.linspace(0, max(0, length - tile), count)]


def blended(
    predict: Callable[[np.ndarray], torch.Tensor], image: np.ndarray, tiling: Tiling, *, batch: int
) -> torch.Tensor:
    """Return the weighted average of the predictions of all tiles of an image: (C, H, W) fp32.

    Args:
        predict: maps tiles (B, height, width[, channels]) to class probabilities (B, C, height, width) fp32.
        image: (H, W) or (H, W, channels), of any size.
        tiling: the tiles.
        batch: largest number of tiles to predict at once.
    """
    size, image = image.shape[:2], tiling.padded(image)
    boxes = list(tiling.boxes(*image.shape[:2]))
    total: torch.Tensor | None = None
    for first in range(0, len(boxes), batch):
        chosen = boxes[first : first + batch]
        found = predict(np.stack([image[box] for box in chosen]))
        if len(boxes) == 1:
            return found[0, :, : size[0], : size[1]]
        weights = tiling.weights().to(found.device)
        if total is None:
            total = found.new_zeros(found.shape[1], *image.shape[:2])
            sums = found.new_zeros(image.shape[:2])
        for box, tile in zip(chosen, found, strict=True):
            total[:, *box] += tile * weights
            sums[box] += weights
    assert total is not None
    return total.div_(sums)[:, : size[0], : size[1]]
