"""Augmentation that mixes pixels and labels from other training images into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.augmentation.copy_paste import CopyPaste
from trainables.augmentation.transforms import AugmentationConfig
from trainables.data.sizes.crops import random_crop

if TYPE_CHECKING:
    from trainables.data import PreparedData


class Mixing:
    """A pure function of (image, mask, seed): CutMix, then copy-paste of the rarest class.

    CutMix (Yun et al. 2019, section 3.1) replaces a box, with an area fraction drawn uniformly from [0, 1], by the same
    box of another training image, or of a random crop of it. Without a training image of the rarest class, nothing is
    pasted.

    Args:
        config: `cutmix` and `copy_paste` are the probabilities of each change to an image.
        data: the data set.
        indices: (K,) the training images, the only ones to take pixels from.
    """

    def __init__(self, config: AugmentationConfig, data: PreparedData, indices: np.ndarray):
        self.config, self.data, self.indices = config, data, indices
        self.copy_paste = CopyPaste(data, indices) if config.copy_paste else None

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W[, C]) uint8 or float32 and mask (H, W) uint8, mixed. The arguments stay."""
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
        for length in mask_hw.shape:
            extent = round(side * length)
            start = rng.integers(length - extent + 1)
            box.append(slice(start, start + extent))
        image, mask = random_crop(self.data, int(other), rng)
        image_hw[tuple(box)], mask_hw[tuple(box)] = image[tuple(box)], mask[tuple(box)]


def build_mixing(config: AugmentationConfig, data: PreparedData, indices: np.ndarray) -> Mixing | None:
    """Build the mixing of a configuration; None if both probabilities are 0."""
    return Mixing(config, data, indices) if config.cutmix or config.copy_paste else None
