"""How the pixels of a data set are stored, and how they become the input of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """Maps pixels of the source to stored pixels, and stored pixels to the input of a network.

    Stored pixels are uint8, or float32 in [0, 1]. Images of one channel have no channel axis, others have it last.
    """

    dtype: str
    """uint8 or float32."""
    low: tuple[float, ...]
    """The value of the source that is stored as 0, by channel."""
    high: tuple[float, ...]
    """The value of the source that is stored as 1 (as 255 in uint8), by channel."""
    mean: tuple[float, ...]
    """Mean of the channel in units of [0, 1], which the network's input is centred by."""
    std: tuple[float, ...]
    """Standard deviation of the channel in units of [0, 1], which the network's input is divided by."""

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def scale(self) -> float:
        """Factor that scales stored pixels to [0, 1]."""
        return 1 / 255 if self.dtype == "uint8" else 1.0

    def stored(self, image: np.ndarray) -> np.ndarray:
        """Map pixels of the source, (H, W) or (H, W, C), to stored pixels. Values out of range are clipped."""
        if self.dtype == "uint8" and image.dtype == np.uint8:
            return image
        low, high = np.array(self.low), np.array(self.high)
        if self.channels == 1:
            low, high = low[0], high[0]
        scaled = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
        return np.rint(scaled * 255).astype(np.uint8) if self.dtype == "uint8" else scaled.astype(np.float32)

    def to_device(self, images: np.ndarray, device: torch.device) -> torch.Tensor:
        """Return the input of a network: (N, C, H, W) float32 of stored images (N, H, W) or (N, H, W, C).

        Pixels are copied to the device in their stored dtype.
        """
        import torch

        pixels = torch.from_numpy(images).to(device, non_blocking=True, copy=images.dtype == np.float32).float()
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        pixels = pixels.mul_(self.scale)
        if any(self.mean) or set(self.std) != {1.0}:
            shape = (1, self.channels, 1, 1)
            mean = torch.tensor(self.mean, device=device).view(shape)
            pixels = pixels.sub_(mean).div_(torch.tensor(self.std, device=device).view(shape))
        return pixels

    def pictures(self, images: np.ndarray) -> np.ndarray:
        """Return RGB pictures (N, H, W, 3) uint8 of stored images: the first three channels, or the first as grey."""
        if images.ndim == 3:
            shown = np.repeat(images[..., None], 3, axis=-1)
        else:
            shown = images[..., :3] if self.channels >= 3 else np.repeat(images[..., :1], 3, axis=-1)
        return shown if shown.dtype == np.uint8 else (shown * 255).astype(np.uint8)


def plain_format(dtype: np.dtype) -> PixelFormat:
    """Return the format of the competition's images: one channel, scaled to [0, 1], neither centred nor divided."""
    high = 255.0 if dtype == np.uint8 else 1.0
    return PixelFormat(dtype=np.dtype(dtype).name, low=(0.0,), high=(high,), mean=(0.0,), std=(1.0,))
