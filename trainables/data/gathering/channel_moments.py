"""Range, mean and standard deviation of the channels of many images, from one pass over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.pixel_format import PixelFormat

SMALLEST_STD = 1e-3
"""A channel that varies less, in units of [0, 1], is only centred."""


@dataclass(frozen=True, kw_only=True)
class ChannelMoments:
    """Sums over the pixels of each channel: arrays of shape (C,) and dtype float64."""

    low: np.ndarray
    high: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    """Sum of the squares."""
    pixels: int

    @classmethod
    def of(cls, image_hwc: np.ndarray) -> ChannelMoments:
        """Return the moments of an image (H, W, C)."""
        channels = range(image_hwc.shape[-1])
        return cls(
            low=image_hwc.min(axis=(0, 1)).astype(np.float64),
            high=image_hwc.max(axis=(0, 1)).astype(np.float64),
            total=image_hwc.sum(axis=(0, 1), dtype=np.float64),
            squares=np.array([np.square(image_hwc[..., channel], dtype=np.float64).sum() for channel in channels]),
            pixels=image_hwc.shape[0] * image_hwc.shape[1],
        )

    def joined(self, other: ChannelMoments) -> ChannelMoments:
        return ChannelMoments(
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            total=self.total + other.total,
            squares=self.squares + other.squares,
            pixels=self.pixels + other.pixels,
        )

    def with_channels(self, channels: int) -> ChannelMoments:
        """Return the moments after `with_channels` of the images."""
        grey = np.zeros(channels, int)
        chosen = np.arange(channels) if len(self.low) >= max(3, channels) else grey
        return ChannelMoments(
            low=self.low[chosen],
            high=self.high[chosen],
            total=self.total[chosen],
            squares=self.squares[chosen],
            pixels=self.pixels,
        )

    def pixel_format(self, *, whole: bool) -> PixelFormat:
        """Return how pixels are stored: as uint8 if they are whole numbers up to 255, else as floats in [0, 1].

        Floats outside of [0, 1], and integers above 255, are scaled by the range of their channel.

        Args:
            whole: whether all pixels are whole numbers.
        """
        channels, lowest, highest = len(self.low), float(self.low.min()), float(self.high.max())
        dtype, low, high = "float32", self.low, np.where(self.high > self.low, self.high, self.low + 1)
        if whole and lowest >= 0 and 1 < highest <= 255:
            dtype, low, high = "uint8", np.zeros(channels), np.full(channels, 255.0)
        elif lowest >= 0 and highest <= 1:
            low, high = np.zeros(channels), np.ones(channels)
        mean = self.total / self.pixels
        std = np.sqrt(np.maximum(self.squares / self.pixels - mean**2, 0)) / (high - low)
        return PixelFormat(
            dtype=dtype,
            low=tuple(map(float, low)),
            high=tuple(map(float, high)),
            mean=tuple(map(float, (mean - low) / (high - low))),
            std=tuple(float(each) if each > SMALLEST_STD else 1.0 for each in std),
        )


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image with that many channels: grey is repeated, transparency left out. One channel has no axis."""
    if image.ndim == 3 and image.shape[-1] == 2 != channels:  # grey with transparency
        image = image[..., 0]
    if image.ndim == 2:
        return image if channels == 1 else np.repeat(image[..., None], channels, axis=-1)
    return image[..., :channels]
