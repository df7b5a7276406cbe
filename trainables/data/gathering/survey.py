"""A first pass over a data set: what must be known of it before it is stored."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field

import numpy as np

from trainables.data.gathering.channel_moments import ChannelMoments
from trainables.data.pixel_format import PixelFormat
from trainables.data.readers.classes import packed
from trainables.data.readers.reader import Pair, Reader, Unlabelled
from trainables.data.sizes.images import by
from trainables.errors import listed

MOST_VALUES = 4096
"""Masks with more different values are no masks."""
MOST_CHANNELS = 64
"""OpenCV and the augmentations take no more."""
GREY = 0x010101
"""The value of a colour of three equal channels is this times the value of a channel."""


@dataclass
class Survey:
    """Sizes, pixel ranges and mask values of all pairs."""

    uri: str
    names: list[str] = field(default_factory=list)
    """Name of each image."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """(height, width) of each image."""
    unlabelled: list[str] = field(default_factory=list)
    """Name of each image to predict."""
    unlabelled_sizes: list[tuple[int, int]] = field(default_factory=list)
    """(height, width) of each image to predict."""
    moments: dict[int, ChannelMoments] = field(default_factory=dict)
    """Moments of the images with each number of channels."""
    first: dict[int, str] = field(default_factory=dict)
    """First image with each number of channels."""
    whole: bool = True
    """Whether all pixels are whole numbers."""
    colours: bool = False
    """Whether a mask holds colours."""
    values: set[int] = field(default_factory=set)
    """The values in the masks; if a mask holds colours, those of colours."""
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    """Hash of all names, pixels and masks."""

    def add(self, pair: Pair) -> None:
        """Take a pair into account.

        Raises:
            ValueError: if image and mask do not fit together, or a pixel cannot be used.
        """
        size = pair.image.shape[:2]
        if pair.mask.shape[:2] != size:
            turned = pair.mask.shape[1::-1] == size
            raise ValueError(
                f"{self.uri}: {pair.name} is {by(size)}, its mask {by(pair.mask.shape)}: they must have the same "
                f"height and width{' (the image may carry an orientation in its EXIF data)' if turned else ''}"
            )
        self.names.append(pair.name)
        self.sizes.append((size[0], size[1]))
        self._add_pixels(pair)
        self._add_values(pair)
        for part in (pair.name.encode("utf-8", "surrogateescape"), *_content(pair.image), *_content(pair.mask)):
            self.digest.update(part)

    def add_unlabelled(self, image: Unlabelled) -> None:
        """Take an image to predict into account.

        Raises:
            ValueError: if it has other channels than the labelled ones.
        """
        channels = 1 if image.image.ndim == 2 else image.image.shape[-1]
        if channels not in self.moments and len({1, 2, 3, 4} & {channels, self.channels}) < len(
            {channels, self.channels}
        ):
            raise ValueError(f"{self.uri}: {image.name} has {channels} channels, the images with masks {self.channels}")
        self.unlabelled.append(image.name)
        self.unlabelled_sizes.append((image.image.shape[0], image.image.shape[1]))
        for part in (image.name.encode("utf-8", "surrogateescape"), *_content(image.image)):
            self.digest.update(part)

    def _add_pixels(self, pair: Pair) -> None:
        image = pair.image if pair.image.ndim == 3 else pair.image[..., None]
        if image.dtype.kind == "f":
            if not np.isfinite(image).all():
                row, column = (int(place) for place in np.argwhere(~np.isfinite(image))[0][:2])
                raise ValueError(
                    f"{self.uri}: {pair.name} holds {image[row, column].tolist()} at row {row}, column {column}: "
                    "pixels must be finite"
                )
            self.whole = self.whole and bool((image == np.floor(image)).all())
        channels = image.shape[-1]
        if channels > MOST_CHANNELS:
            raise ValueError(f"{self.uri}: {pair.name} has {channels} channels, must have at most {MOST_CHANNELS}")
        found = ChannelMoments.of(image)
        self.moments[channels] = self.moments[channels].joined(found) if channels in self.moments else found
        self.first.setdefault(channels, pair.name)

    def _add_values(self, pair: Pair) -> None:
        found = set(np.unique(packed(pair.mask)).tolist())
        colours = pair.mask.ndim == 3
        if colours and not self.colours:  # masks so far, if any, hold greys only
            self.values, self.colours = {value * GREY for value in self.values}, True
        self.values |= found if colours == self.colours else {value * GREY for value in found}
        if len(self.values) > MOST_VALUES:
            raise ValueError(
                f"{self.uri}: the masks hold more than {MOST_VALUES} different values up to {pair.name}: these are no "
                "labels; are images and masks exchanged, or are the masks compressed as JPEG?"
            )

    @property
    def channels(self) -> int:
        """The number of channels that all images are brought to: grey becomes colour, transparency is left out.

        Raises:
            ValueError: for other mixtures.
        """
        found = set(self.moments)
        if len(found) == 1:
            return found.pop()
        for channels, of in ((3, {1, 2, 3, 4}), (1, {1, 2})):
            if found <= of and channels in found:
                return channels
        shown = listed([f"{count} in {name}" for count, name in sorted(self.first.items())])
        raise ValueError(f"{self.uri}: images have different numbers of channels: {shown}")

    @property
    def pixel_format(self) -> PixelFormat:
        """How the pixels are stored. Each channel is centred and scaled by its moments over all labelled images."""
        each = [moments.with_channels(self.channels) for moments in self.moments.values()]
        return functools.reduce(ChannelMoments.joined, each).pixel_format(whole=self.whole)


def survey(reader: Reader) -> Survey:
    """Look at all pairs and all images to predict of a data set once.

    Raises:
        ValueError: if there is no pair, or one cannot be read or used.
    """
    found = Survey(uri=reader.uri)
    for pair in reader.pairs():
        found.add(pair)
    if not found.names:
        raise ValueError(f"{reader.uri}: holds no image with a mask")
    for image in reader.unlabelled():
        found.add_unlabelled(image)
    return found


def _content(array: np.ndarray) -> tuple[bytes, memoryview]:
    return f"{array.dtype.str}{array.shape}".encode(), np.ascontiguousarray(array).data
