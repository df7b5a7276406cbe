"""Prediction with trained models: averaged over models and flips, the ignored class suppressed, then a decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from trainables.data.pixel_format import PixelFormat
from trainables.memory_errors import ForwardInParts
from trainables.prediction.decision import PLAIN, Decision
from trainables.prediction.ignored_class import suppress
from trainables.prediction.tiling import Tiling, blended

Flips = tuple[tuple[int, ...], ...]
FLIPS: Flips = ((), (-1,), (-2,), (-2, -1))
"""Flips for test-time augmentation, as dimensions of (N, C, H, W): none, horizontal, vertical, both."""
EVALUATION_BATCH = 64
"""Images per batch in evaluation and prediction, on each rank."""
TILE_PIXELS = 64 * 128
"""A batch of tiles has at most as many pixels as EVALUATION_BATCH images of this size, or it is a single tile."""


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Models, and all that turns an image into its mask with them."""

    models: Sequence[nn.Module]
    """Models in evaluation mode on `device`, which map images (N, channels, H, W) to logits (N, C, H, W)."""
    pixels: PixelFormat
    """Turns stored pixels into the models' input."""
    device: torch.device
    bf16: bool
    """Whether to compute under bf16 autocast."""
    suppressed: int | None
    """Label whose probability is set to 0; None: no label."""
    flips: Flips = FLIPS[:1]
    """Flips of the input to average class probabilities over."""
    weights: Sequence[float] | None = None
    """Weights of the models in the average, of any sum; None: equal."""
    decision: Decision = PLAIN
    """Chooses the labels."""
    tiling: Tiling | None = None
    """Tiles that images are predicted in; None: images have one size, and are predicted whole."""

    def probabilities(self, images: np.ndarray | Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield class probabilities of the images in order, batch by batch: (B, C, H, W) fp32 on the device, in [0, 1].

        With a tiling, each image is a batch of its own.

        Args:
            images: (N, H, W) or (N, H, W, channels) stored pixels, a memory map is read batch by batch; with a tiling
                also a sequence of images of different sizes, (H, W) or (H, W, channels).
        """
        forwards = self._forwards()
        if self.tiling is None:
            for start in range(0, len(images), EVALUATION_BATCH):
                yield self._averaged(forwards, np.array(images[start : start + EVALUATION_BATCH]))
            return
        tiles = max(1, EVALUATION_BATCH * TILE_PIXELS // (self.tiling.height * self.tiling.width))
        for image in images:
            yield blended(lambda batch: self._averaged(forwards, batch), image, self.tiling, batch=tiles)[None]

    def _forwards(self) -> list[tuple[ForwardInParts, float]]:
        """Return each model with its share of the average."""
        parts = np.ones(len(self.models)) if self.weights is None else np.array(self.weights, dtype=np.float64)
        return [
            (ForwardInParts(model, self.device, bf16=self.bf16), float(part))
            for model, part in zip(self.models, parts / parts.sum(), strict=True)
        ]

    def _averaged(self, forwards: list[tuple[ForwardInParts, float]], images: np.ndarray) -> torch.Tensor:
        """Return the class probabilities of a batch of stored images, averaged over models and flips."""
        with torch.inference_mode():
            batch = self.pixels.to_device(images, self.device)
            total = torch.zeros((), device=self.device)
            for forward, part in forwards:
                for dims in self.flips:
                    logits = suppress(forward(batch.flip(dims)).float(), self.suppressed)
                    total = total + logits.softmax(1).flip(dims) * (part / len(self.flips))
        return total

    def labels(self, images: np.ndarray | Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the labels of the images, stored pixels, in order, batch by batch: (B, H, W) uint8."""
        for probabilities in self.probabilities(images):
            yield self.decision.labels(probabilities).to(torch.uint8).cpu().numpy()
