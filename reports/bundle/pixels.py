"""Images of any kind as the stored pixels of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.gathering.channel_moments import with_channels
from trainables.data.pixel_format import PixelFormat
from trainables.data.readers.image_files import read_image

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey image (ITU-R BT.601), which Pillow uses as well."""


def stored_pixels(image: Any, pixels: PixelFormat, name: str = "the image") -> np.ndarray:
    """Return an image as the model's stored pixels: (H, W), or (H, W, C) of several channels.

    Grey becomes colour where the model takes three channels, transparency is left out, and colour becomes grey where
    the model takes one channel. Values are those of the images that the model was trained on. Three kinds of values are
    recognised and scaled: floats from 0 to 1 where the model was trained on whole numbers from 0 to 255, 16-bit
    integers above 255 likewise, and 8- or 16-bit integers where it was trained on floats from 0 to 1.

    Args:
        image: path of an image file, or an array (H, W), (H, W, C) or (C, H, W) of integers or floats; anything that
            NumPy makes such an array of, such as an image of Pillow.
        pixels: the pixels of the model.
        name: names the image in messages, if it is no file.

    Raises:
        ValueError: if it is no image, or its channels or pixels do not suit the model.
    """
    if isinstance(image, str | Path):
        name = str(image)
        try:
            image = read_image(Path(image).read_bytes(), name)
        except OSError as error:
            raise ValueError(f"{name}: cannot be read ({error.strerror or error})") from error
    return _stored(np.asarray(image), pixels, name)


def _stored(image: np.ndarray, pixels: PixelFormat, name: str) -> np.ndarray:
    if image.dtype.kind not in "buif":
        raise ValueError(f"{name}: has type {image.dtype}, pixels are integers or floats")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"{name}: has shape {image.shape}, an image is (H, W) or (H, W, C)")
    image = with_model_channels(_channels_last(image, pixels.channels), pixels.channels, name)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(image))[0][:2])
        raise ValueError(f"{name}: holds {image[row, column]} at row {row}, column {column}: pixels must be finite")
    return pixels.stored(_in_units_of(pixels, image.astype(np.uint8) if image.dtype.kind == "b" else image))


def _channels_last(image: np.ndarray, channels: int) -> np.ndarray:
    """Return (H, W) or (H, W, C); the first axis is that of the channels if it is the only one that can be."""
    if image.ndim == 2:
        return image
    known = {1, 2, 3, 4, channels}
    if image.shape[-1] not in known and image.shape[0] in known:
        image = np.moveaxis(image, 0, -1)
    return image[..., 0] if image.shape[-1] == 1 else image


def with_model_channels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """Return an image with the channels of the model.

    Raises:
        ValueError: if it has others that cannot be made of them.
    """
    own = 1 if image.ndim == 2 else image.shape[-1]
    if own == channels:
        return image
    if channels == 1 and own in (3, 4):
        grey = image[..., :3] @ np.array(LUMA)
        return np.rint(grey).astype(image.dtype) if image.dtype.kind in "iu" else grey.astype(image.dtype)
    if channels == 1 and own == 2:
        return image[..., 0]
    if channels == 3 and own in (1, 2, 4):
        return with_channels(image, channels)
    raise ValueError(f"{name}: has {own} channel{'' if own == 1 else 's'}, the model takes {channels}")


def _in_units_of(pixels: PixelFormat, image: np.ndarray) -> np.ndarray:
    """Return the image scaled to the values that the model was trained on, if its own are of another scale."""
    floats, eight_bits = image.dtype.kind == "f", pixels.dtype == "uint8"
    unit = not eight_bits and set(pixels.low) == {0.0} and set(pixels.high) == {1.0}
    if eight_bits and floats and image.min() >= 0 and image.max() <= 1:
        return image * 255
    if eight_bits and image.dtype == np.uint16 and image.max() > 255:
        return image / 257
    if unit and image.dtype in (np.uint8, np.uint16) and image.max() > 1:
        return image / np.iinfo(image.dtype).max
    return image
