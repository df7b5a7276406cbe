"""A data set as it was read, before cleaning and split."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainables.data.description import DataDescription
from trainables.data.pixel_format import PixelFormat
from trainables.data.sizes.images import Images


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A checked data set. Its arrays may be memory-mapped."""

    description: DataDescription
    named: bool = True
    """False if its classes are called by their labels, because it has no names for them."""
    images: Images
    """N images (H, W), or (H, W, C) with several channels: uint8, or float32 in [0, 1]."""
    masks: Images
    """N masks (H, W) uint8, of the sizes of the images."""
    unlabelled: Images | None
    """M images in the dtype and with the channels of the labelled ones; None if there is no test set."""
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
