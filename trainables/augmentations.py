"""Albumentations sets by name, applied to image and mask together."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from trainables.config import AugmentationConfig
from trainables.registry import lookup

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for newer versions when imported

import albumentations as A

Size = tuple[int, int]


def _hflip(size: Size) -> list[A.BasicTransform]:
    return [A.HorizontalFlip(p=0.5)]


def _flips(size: Size) -> list[A.BasicTransform]:
    return [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]


def _flips_crop(size: Size) -> list[A.BasicTransform]:
    # Half of the images are cropped to 60 to 100 % of their area, at nearly their own aspect, and resized back.
    aspect = size[1] / size[0]
    crop = A.RandomResizedCrop(size=size, scale=(0.6, 1.0), ratio=(0.8 * aspect, 1.25 * aspect), p=0.5)
    return [*_flips(size), crop]


AUGMENTATIONS: dict[str, Callable[[Size], list[A.BasicTransform]]] = {
    "none": lambda size: [],
    "hflip": _hflip,
    "flips": _flips,
    "flips_crop": _flips_crop,
}
"""Name to builder((height, width)) of the transforms."""


class Augmentation:
    """A pure function of (image, mask, seed): same seed, same result, in whatever order or process."""

    def __init__(self, transforms: list[A.BasicTransform]):
        self._compose = A.Compose(transforms)

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W) uint8 or float32 and mask (H, W) uint8, in and out; labels are never mixed."""
        self._compose.set_random_seed(seed)
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


def build_augmentation(config: AugmentationConfig, *, size: Size) -> Augmentation | None:
    """The augmentation of a configuration for images (height, width); None where there is nothing to do."""
    transforms = lookup(AUGMENTATIONS, config.name, "augmentation")(size)
    return Augmentation(transforms) if transforms else None
