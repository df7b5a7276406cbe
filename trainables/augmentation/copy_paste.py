"""Copy-paste augmentation: regions of the rarest class are pasted into other training images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainables.data.sizes.crops import tiles_of
from trainables.data.sizes.images import sample_within

if TYPE_CHECKING:
    from trainables.data import PreparedData

MOST_PASTED = 3
"""Maximum number of regions to paste into an image."""
SMALLEST = 1 / 2048
"""Minimum area of a region to paste, as a fraction of the image area: 4 pixels of 64x128."""
MOST_PIXELS = 2**26
"""Most pixels of the images whose regions are copied, and kept in memory; of larger data, some images are chosen."""
SCALES = (3 / 4, 4 / 3)
"""Range of the resize factor, drawn log-uniformly."""
MARGIN = 2
"""Width in pixels of the border around a region that is copied along, to blend its edge."""
SOFTNESS = 1.0
"""Standard deviation in pixels of the Gaussian blur that blends the edge."""


@dataclass(frozen=True)
class Region:
    """A connected region of a class, with its margin."""

    pixels: np.ndarray
    """(h, w) or (h, w, C) pixels of the image, in their stored dtype."""
    belongs: np.ndarray
    """(h, w) bool: whether a pixel is part of the region."""


class CopyPaste:
    """Pastes 1 to 3 regions of the rarest class at random positions (Ghiasi et al. 2021, "Simple Copy-Paste").

    First an image with the class is drawn, then one of its regions, so that images with many small regions are not
    drawn more often than others. A region is mirrored with probability 1/2, resized, and blended into the image
    (Dwibedi et al. 2017, "Cut, Paste and Learn", section 4.2). Its labels are not blended.

    Args:
        data: the data set.
        indices: (K,) the training images, the only ones to copy from.
    """

    def __init__(self, data: PreparedData, indices: np.ndarray):
        self.label = data.rarest_label
        holding = indices[data.holds(indices, self.label)]
        found = [
            regions(data.images[tile.index][tile.box], data.masks[tile.index][tile.box] == self.label)
            for index in sample_within(holding, data.sizes[holding].prod(axis=1), MOST_PIXELS).tolist()
            for tile in tiles_of(index, data.sizes[index].tolist(), data.crop)
        ]
        least = SMALLEST * math.prod(data.crop)
        large = [[region for region in tile if region.belongs.sum() >= least] for tile in found]
        self.donors = [tile for tile in large if tile] or [tile for tile in found if tile]
        """Regions by image, or by tile of images that are cropped.
        Small regions are included only if there are no larger ones in any image."""

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, rng: np.random.Generator) -> None:
        """Paste into image (H, W) or (H, W, C), uint8 or float32, and mask (H, W) uint8, in place."""
        if not self.donors:
            return
        for _ in range(rng.integers(1, MOST_PASTED + 1)):
            donor = self.donors[rng.integers(len(self.donors))]
            region = donor[rng.integers(len(donor))]
            if rng.random() < 0.5:
                region = Region(region.pixels[:, ::-1], region.belongs[:, ::-1])
            low, high = map(math.log, SCALES)
            region = resized(region, math.exp(low + (high - low) * rng.random()), mask_hw.shape)
            self._paste(region, image_hw, mask_hw, rng)

    def _paste(self, region: Region, image_hw: np.ndarray, mask_hw: np.ndarray, rng: np.random.Generator) -> None:
        height, width = region.belongs.shape
        top, left = (rng.integers(whole - part + 1) for whole, part in zip(mask_hw.shape, (height, width), strict=True))
        place = (slice(top, top + height), slice(left, left + width))
        there = image_hw[place].astype(np.float32)
        opaque = opacity(region.belongs)
        blended = there + (opaque if there.ndim == 2 else opaque[..., None]) * (region.pixels - there)
        image_hw[place] = blended if image_hw.dtype == np.float32 else np.rint(blended)
        mask_hw[place][region.belongs] = self.label


def regions(image_hw: np.ndarray, belongs_hw: np.ndarray) -> list[Region]:
    """Return the connected regions where `belongs_hw` (H, W) bool is True. Diagonal neighbours are connected."""
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(belongs_hw.astype(np.uint8))
    found = []
    for number, (left, top, width, height, _) in enumerate(boxes):
        if number:  # 0 is the background
            rows = slice(max(0, top - MARGIN), top + height + MARGIN)
            columns = slice(max(0, left - MARGIN), left + width + MARGIN)
            found.append(Region(np.array(image_hw[rows, columns]), numbers[rows, columns] == number))
    return found


def resized(region: Region, factor: float, size: tuple[int, ...]) -> Region:
    """Return the region resized by a factor, at most to the size (height, width) of the image."""
    shape = region.belongs.shape
    factor = min(factor, *(whole / part for whole, part in zip(size, shape, strict=True)))
    height, width = (max(1, round(factor * length)) for length in shape)
    if (height, width) == shape:
        return region
    pixels = cv2.resize(np.ascontiguousarray(region.pixels), (width, height), interpolation=cv2.INTER_LINEAR)
    belongs = cv2.resize(region.belongs.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    return Region(pixels, belongs) if belongs.any() else region


def opacity(belongs_hw: np.ndarray) -> np.ndarray:
    """Return the opacity of pasted pixels: (h, w) float32 in [0, 1], about 1/2 at the edge of the region."""
    return cv2.GaussianBlur(
        belongs_hw.astype(np.float32), (2 * MARGIN + 1,) * 2, SOFTNESS, borderType=cv2.BORDER_REPLICATE
    )
