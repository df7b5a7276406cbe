"""Albumentations sets by name, applied to image and mask together."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from trainables.config import AugmentationConfig
from trainables.registry import lookup

# Albumentations is imported where it is used: it takes a second, and only processes that train need it.
if TYPE_CHECKING:
    from albumentations import BasicTransform

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for newer versions when imported

Size = tuple[int, int]


def _none(size: Size) -> list[BasicTransform]:
    return []


def _hflip(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=0.5)]


def _flips(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]


def _flips_crop(size: Size) -> list[BasicTransform]:
    import albumentations as A

    # Half of the images are cropped to 60 to 100 % of their area, at nearly their own aspect, and resized back.
    aspect = size[1] / size[0]
    crop = A.RandomResizedCrop(size=size, scale=(0.6, 1.0), ratio=(0.8 * aspect, 1.25 * aspect), p=0.5)
    return [*_flips(size), crop]


AUGMENTATIONS: dict[str, Callable[[Size], list[BasicTransform]]] = {
    "none": _none,
    "hflip": _hflip,
    "flips": _flips,
    "flips_crop": _flips_crop,
}
"""Name to builder((height, width)) of the transforms. Masks are resized by nearest neighbour, its default."""


class Augmentation:
    """A pure function of (image, mask, seed): same seed, same result, in whatever order or process."""

    def __init__(self, transforms: list[BasicTransform]):
        import albumentations as A

        self._compose = A.Compose(transforms)

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W) uint8 or float32 and mask (H, W) uint8, in and out; labels are never mixed."""
        # Not `set_random_seed`: that gives each transform its own generator with one and the same seed, so that
        # all of them draw alike and two flips come together or not at all.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result = self._compose(image=image_hw, mask=mask_hw)
        return result["image"], result["mask"]


def build_augmentation(config: AugmentationConfig, *, size: Size) -> Augmentation | None:
    """The augmentation of a configuration for images (height, width); None where there is nothing to do."""
    transforms = lookup(AUGMENTATIONS, config.name, "augmentation")(size)
    return Augmentation(transforms) if transforms else None
