"""Albumentations sets by name, applied to image and mask together."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainables.registry import lookup
from trainables.validation import PLUS, check, check_names

# Albumentations is imported where it is used: it takes a second, and only processes that train need it.
if TYPE_CHECKING:
    from albumentations import BasicTransform

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for newer versions when imported

Size = tuple[int, int]


SHARE = 0.5
"""Part of the images that each transform changes."""
MOST_ROTATION = 15
"""Degrees."""


def _none(size: Size) -> list[BasicTransform]:
    return []


def _hflip(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=SHARE)]


def _flips(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.HorizontalFlip(p=SHARE), A.VerticalFlip(p=SHARE)]


def _crop(size: Size) -> list[BasicTransform]:
    """60 to 100 % of the area, at nearly the image's own aspect, resized back."""
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
    """Smooth random displacement (Simard et al. 2003) of a few pixels, over a tenth of the height."""
    import albumentations as A

    smooth = 0.1 * min(size)
    return [A.ElasticTransform(alpha=6 * smooth, sigma=smooth, border_mode=cv2.BORDER_REFLECT_101, p=SHARE)]


def _grid_distortion(size: Size) -> list[BasicTransform]:
    import albumentations as A

    return [A.GridDistortion(border_mode=cv2.BORDER_REFLECT_101, p=SHARE)]


def _coarse_dropout(size: Size) -> list[BasicTransform]:
    """Up to four black boxes (DeVries and Taylor 2017, "Cutout"). Labels stay: the surroundings must tell them."""
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
"""Name to builder((height, width)) of the transforms. Masks are resampled by nearest neighbour, the default; what comes
in over a border is the reflected image, with its labels."""


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """The training augmentation: keys of `AUGMENTATIONS`, and what mixes images."""

    name: str = "hflip"
    """A key, or several joined by a plus: "flips+crop" applies them in this order."""
    cutmix: float = 0.0
    """Probability that a box of an image is replaced by that of another training image, labels included."""
    copy_paste: float = 0.0
    """Probability that regions of the rarest class are pasted into an image from other training images."""
    oversampling: int = 1
    """Images that hold the rarest class are drawn this many times as often as the others."""
    rare_share: float = 0.0
    """At least this part of each batch's images hold the rarest class, in [0, 1)."""

    def __post_init__(self) -> None:
        check_names(self, "name", tuple(AUGMENTATIONS))
        alone = self.name == "none" or "none" not in self.name.split(PLUS)
        check(self, "name", alone, "none stands alone")
        for name in ("cutmix", "copy_paste"):
            check(self, name, 0 <= getattr(self, name) <= 1, "must be between 0 and 1")
        ok = isinstance(self.oversampling, int) and self.oversampling >= 1
        check(self, "oversampling", ok, "must be a whole number of at least 1")
        check(self, "rare_share", 0 <= self.rare_share < 1, "must be at least 0 and below 1")


class Augmentation:
    """A pure function of (image, mask, seed): same seed, same result, in whatever order or process."""

    def __init__(self, transforms: list[BasicTransform]):
        import albumentations as A

        cv2.setNumThreads(0)  # for one small image at a time, its threads would only get into torch's way
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
    transforms = [
        transform for name in config.name.split(PLUS) for transform in lookup(AUGMENTATIONS, name, "augmentation")(size)
    ]
    return Augmentation(transforms) if transforms else None
