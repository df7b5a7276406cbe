"""A data set as it was read, before cleaning and split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainables.data.description import DataDescription
from trainables.data.pixel_format import PixelFormat


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A checked data set. Its arrays may be memory-mapped."""

    description: DataDescription
    named: bool = True
    """False if its classes are called by their labels, because it has no names for them."""
    images: np.ndarray
    """(N, H, W), or (N, H, W, C) with several channels: uint8, or float32 in [0, 1]."""
    masks: np.ndarray
    """(N, H, W) uint8."""
    unlabelled: np.ndarray | None
    """(M, H, W) or (M, H, W, C) in the dtype of the images; None if there is no test set."""
    pixels: PixelFormat
    """How pixels of the source were stored, and how they become the input of a network."""
    names: tuple[str, ...] | None = None
    """Name of each labelled image; None: they are only numbered."""
    unlabelled_names: tuple[str, ...] | None = None
    """Name of each image to predict; None: they are only numbered."""
    parts: dict[str, str] = field(default_factory=dict)
    """The user's own split: the part ("train", "val" or "test") of labelled images, by name."""
    groups: tuple[str | None, ...] | None = None
    """The user's own groups: the key of each labelled image's group, None for an image that is a group of its own; None
    if the data has no groups."""
    announcements: tuple[str, ...] = ()
    """Sentences for the user about choices that were made for them."""
