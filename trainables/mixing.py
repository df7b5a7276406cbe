"""Augmentation that takes pixels, and their labels, from other training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainables.config import AugmentationConfig

if TYPE_CHECKING:
    from trainables.data import PreparedData

MOST_PASTED = 3
"""Regions in one image."""


class Mixing:
    """A pure function of (image, mask, seed): CutMix, then copy-paste of the rarest class.

    CutMix (Yun et al. 2019, section 3.1): a box, whose share of the area is uniform in [0, 1], shows another training
    image. Copy-paste (Ghiasi et al. 2021): 1 to 3 connected regions of the rarest class, some mirrored, appear at
    random places. Where no training image holds that class, nothing is pasted.

    Args:
        config: `cutmix` and `copy_paste` are the probabilities that an image is changed.
        data: the data set.
        indices: (K,) the training images: only they are shown and copied from.
    """

    def __init__(self, config: AugmentationConfig, data: PreparedData, indices: np.ndarray):
        self.config, self.data, self.indices = config, data, indices
        self.label = data.rarest_label
        self.regions: list[tuple[np.ndarray, np.ndarray]] = []
        """Pixels (h, w) around each region of the rarest class, and which of them (h, w, bool) belong to it."""
        if config.copy_paste:
            for index in indices[data.holds(indices, self.label)]:
                self.regions += _regions(data.images[index], data.masks[index] == self.label)

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W) uint8 or float32 and mask (H, W) uint8, in and out; the given ones stay as they are."""
        rng = np.random.default_rng((seed, 1))
        cut, paste = rng.random(2) < (self.config.cutmix, self.config.copy_paste)
        if cut or paste:
            image_hw, mask_hw = image_hw.copy(), mask_hw.copy()
        if cut:
            self._cut(image_hw, mask_hw, rng)
        if paste and self.regions:
            for _ in range(rng.integers(1, MOST_PASTED + 1)):
                self._paste(image_hw, mask_hw, rng)
        return image_hw, mask_hw

    def _cut(self, image_hw: np.ndarray, mask_hw: np.ndarray, rng: np.random.Generator) -> None:
        other = self.indices[rng.integers(len(self.indices))]
        side = np.sqrt(rng.random())
        box = []
        for length in image_hw.shape:
            extent = round(side * length)
            start = rng.integers(length - extent + 1)
            box.append(slice(start, start + extent))
        image_hw[tuple(box)] = self.data.images[other][tuple(box)]
        mask_hw[tuple(box)] = self.data.masks[other][tuple(box)]

    def _paste(self, image_hw: np.ndarray, mask_hw: np.ndarray, rng: np.random.Generator) -> None:
        pixels, region = self.regions[rng.integers(len(self.regions))]
        if rng.random() < 0.5:
            pixels, region = pixels[:, ::-1], region[:, ::-1]
        top, left = (rng.integers(whole - part + 1) for whole, part in zip(image_hw.shape, region.shape, strict=True))
        place = (slice(top, top + region.shape[0]), slice(left, left + region.shape[1]))
        image_hw[place][region] = pixels[region]
        mask_hw[place][region] = self.label


def _regions(image_hw: np.ndarray, belongs_hw: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The connected regions of one image, each cut out."""
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(belongs_hw.astype(np.uint8))
    found = []
    for number, (left, top, width, height, _) in enumerate(boxes):
        if number:  # 0 is everything else
            box = (slice(top, top + height), slice(left, left + width))
            found.append((np.array(image_hw[box]), numbers[box] == number))
    return found


def build_mixing(config: AugmentationConfig, data: PreparedData, indices: np.ndarray) -> Mixing | None:
    """The mixing of a configuration; None where there is nothing to do."""
    return Mixing(config, data, indices) if config.cutmix or config.copy_paste else None
