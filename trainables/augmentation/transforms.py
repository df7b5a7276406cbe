"""Albumentations transforms by name, applied to image and mask together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainables.registry import lookup
from trainables.validation import PLUS, check, check_names

# Albumentations is imported on first use: the import takes a second, and only training processes need it.
if TYPE_CHECKING:
    from albumentations import BasicTransform

Size = tuple[int, int]
"""(height, width) of an image."""


SHARE = 0.5
"""Probability of each transform."""
MOST_ROTATION = 15
"""Maximum rotation angle in degrees."""


def _none(size: Size) -> list[BasicTransform]:
    return []


def _hflip(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=SHARE)]


def _flips(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=SHARE), A.VerticalFlip(p=SHARE)]


def _crop(size: Size) -> list[BasicTransform]:
    """Crop 60 to 100 % of the area, at 0.8 to 1.25 times the aspect ratio of the image, and resize to its size."""
    import albumentations as A

    aspect = size[1] / size[0]
    return [A.RandomResizedCrop(size=size, scale=(0.6, 1.0), ratio=(0.8 * aspect, 1.25 * aspect), p=SHARE)]


def _rotate(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.Rotate(limit=MOST_ROTATION, border_mode=cv2.BORDER_REFLECT_101, p=SHARE)]


def _brightness(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.RandomBrightnessContrast(p=SHARE)]


def _elastic(size: Size) -> list[BasicTransform]:
    """Smooth random displacement (Simard et al. 2003) of a few pixels, smoothed over a tenth of the shorter side.

    In images with a side below 10 pixels it is smoothed over one pixel, the least that Albumentations allows.
    """
    import albumentations as A

    smooth = max(1.0, 0.1 * min(size))
    return [A.ElasticTransform(alpha=6 * smooth, sigma=smooth, border_mode=cv2.BORDER_REFLECT_101, p=SHARE)]


def _grid_distortion(size: Size) -> list[BasicTransform]:
    """Distortion of a grid of 5x5 cells; of fewer in images with a side below 5 pixels, so that no cell is empty."""
    import albumentations as A

    return [A.GridDistortion(num_steps=min(5, *size), border_mode=cv2.BORDER_REFLECT_101, p=SHARE)]


def _coarse_dropout(size: Size) -> list[BasicTransform]:
    """Up to four black boxes (DeVries and Taylor 2017, "Cutout"). Labels are kept, to be predicted from context."""
    import albumentations as A

    side = (0.1, 0.3)
    return [A.CoarseDropout(num_holes_range=(1, 4), hole_height_range=side, hole_width_range=side, p=SHARE)]


AUGMENTATIONS: dict[str, Callable[[Size], list[BasicTransform]]] = {
    "none": _none,
    "hflip": _hflip,
    "flips": _flips,
    "crop": _crop,
    "rotate": _rotate,
    "brightness": _brightness,
    "elastic": _elastic,
    "grid_distortion": _grid_distortion,
    "coarse_dropout": _coarse_dropout,
}
"""Name to builder((height, width)) of the transforms. Masks are resampled by nearest neighbour, the default. Borders
are filled by reflection, in the image and in the mask."""


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """The training augmentation: keys of `AUGMENTATIONS`, mixing of images, and oversampling."""

    name: str = "hflip"
    """A key, or several joined by a plus: "flips+crop" applies both in this order."""
    cutmix: float = 0.0
    """Probability of CutMix: a box of the image and its labels are replaced by those of another training image."""
    copy_paste: float = 0.0
    """Probability of copy-paste: regions of the rarest class from other training images are pasted into the image."""
    oversampling: int = 1
    """Images with the rarest class are drawn this many times as often as others, at least 1."""
    rare_share: float = 0.0
    """Minimum fraction, in [0, 1), of images with the rarest class in each batch."""

    def __post_init__(self) -> None:
        check_names(self, "name", tuple(AUGMENTATIONS))
        alone = self.name == "none" or "none" not in self.name.split(PLUS)
        check(self, "name", alone, "none cannot be combined with other names")
        for name in ("cutmix", "copy_paste"):
            check(self, name, 0 <= getattr(self, name) <= 1, "must be between 0 and 1")
        ok = isinstance(self.oversampling, int) and self.oversampling >= 1
        check(self, "oversampling", ok, "must be a whole number of at least 1")
        check(self, "rare_share", 0 <= self.rare_share < 1, "must be at least 0 and below 1")


class Augmentation:
    """A pure function of (image, mask, seed): the result does not depend on the process or on earlier calls."""

    def __init__(self, transforms: list[BasicTransform]):
        import albumentations as A

        cv2.setNumThreads(0)  # for small images, its threads would only compete with those of PyTorch
        self._compose = A.Compose(transforms)

    def __call__(self, image_hw: np.ndarray, mask_hw: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an augmented image (H, W[, C]) uint8 or float32 and mask (H, W) uint8; labels are not interpolated."""
        # Not `set_random_seed`: it gives each transform a generator with the same seed, so that all transforms draw
        # the same numbers, and two flips always occur together.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result = self._compose(image=image_hw, mask=mask_hw)
        return result["image"], result["mask"]


def build_augmentation(config: AugmentationConfig, *, size: Size) -> Augmentation | None:
    """Build the augmentation of a configuration for images (height, width); None if there are no transforms."""
    transforms = [
        transform for name in config.name.split(PLUS) for transform in lookup(AUGMENTATIONS, name, "augmentation")(size)
    ]
    return Augmentation(transforms) if transforms else None
