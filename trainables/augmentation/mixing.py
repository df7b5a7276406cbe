"""Augmentation that takes pixels, and their labels, from other training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.augmentation.copy_paste import CopyPaste
from trainables.augmentation.transforms import AugmentationConfig

if TYPE_CHECKING:
    from trainables.data import PreparedData


class Mixing:
    """A pure function of (image, mask, seed): CutMix, then copy-paste of the rarest class.

    CutMix (Yun et al. 2019, section 3.1): a box, whose share of the area is uniform in [0, 1], shows another training
    image. Where no training image holds the rarest class, nothing is pasted.

    Args:
        config: `cutmix` and `copy_paste` are the probabilities that an image is changed.
        data: the data set.
        indices: (K,) the training images: only they are shown and copied from.
    """

    def __init__(self, config: AugmentationConfig, data: PreparedData, indices: np.ndarray):
        self.config, self.data, self.indices = config, data, indices
        self.copy_paste = CopyPaste(data, indices) if config.copy_paste else None

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W) uint8 or float32 and mask (H, W) uint8, in and out; the given ones stay as they are."""
        rng = np.random.default_rng((seed, 1))
        cut, paste = rng.random(2) < (self.config.cutmix, self.config.copy_paste)
        if cut or paste:
            image_hw, mask_hw = image_hw.copy(), mask_hw.copy()
        if cut:
            self._cut(image_hw, mask_hw, rng)
        if paste and self.copy_paste is not None:
            self.copy_paste(image_hw, mask_hw, rng)
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


def build_mixing(config: AugmentationConfig, data: PreparedData, indices: np.ndarray) -> Mixing | None:
    """The mixing of a configuration; None where there is nothing to do."""
    return Mixing(config, data, indices) if config.cutmix or config.copy_paste else None
