"""The size of the crops that trials train on, unless the user gives one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.sizes.images import Size, by

LONGEST = 256
"""Longest side of a crop that is chosen, in pixels; images of one size with as many pixels as a square of it, or
fewer, are not cropped."""
MULTIPLE = 32
"""Sides of a chosen crop are multiples of this: networks halve images up to five times."""


@dataclass(frozen=True, kw_only=True)
class CropSize:
    """A size of crops, and the reason for it."""

    size: Size
    whole: bool
    """Whether all images have this size, so that none is cropped."""
    why: str
    """Completes "whole images: ..." or "crops of 256x256: ..."."""


def proposed_crop(sizes: np.ndarray) -> CropSize:
    """Choose the size of crops for images of these sizes: (N, 2) int64 heights and widths.

    Images of one size of at most 256x256 pixels, or as many in another shape, are trained on whole. Otherwise, each
    side is the median of the images', at most 256, rounded down to a multiple of 32 (below 32 it is not rounded):
    at least half of the images are then as high as a crop, at least half as wide, and a batch takes little memory.
    """
    largest = sizes.max(axis=0)
    if (sizes == largest).all() and int(largest.prod()) <= LONGEST**2:
        size = (int(largest[0]), int(largest[1]))
        return CropSize(size=size, whole=True, why=f"all images are {by(size)}, small enough to train on whole")
    middle = [min(LONGEST, int(np.median(sizes[:, side]))) for side in (0, 1)]
    height, width = (length - length % MULTIPLE if length >= MULTIPLE else length for length in middle)
    if (sizes == largest).all():
        why = "images are large"
    else:
        why = "images differ in size: at least half are this high, and at least half this wide"
    return CropSize(size=(height, width), whole=False, why=why)
