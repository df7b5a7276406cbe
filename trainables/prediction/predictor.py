"""Prediction with trained models: averaged over models and flips, the ignored class suppressed, then a decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from trainables.data.pixel_format import PixelFormat
from trainables.data.sizes.images import Images
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
"""A batch has at most as many pixels as EVALUATION_BATCH images of this size, or it is a single image or tile."""


def at_once(shape: Sequence[int]) -> int:
    """Return how many images or tiles (H, W, ...) are evaluated at once: EVALUATION_BATCH, fewer if they are large."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * TILE_PIXELS // (shape[0] * shape[1])))


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
    """Tiles in which images are predicted that are not all of their size; None: images have one size, and are predicted
    whole."""

    def probabilities(self, images: Images | Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield class probabilities of the images in order, batch by batch: (B, C, H, W) fp32 on the device, in [0, 1].

        Where images are predicted in tiles, each is a batch of its own.

        Args:
            images: stored pixels of images (H, W) or (H, W, channels), which are read batch by batch; with a tiling,
                they may have different sizes.
        """
        forwards = self._forwards()
        if not self._tiled(images):
            batch = at_once(images[0].shape) if len(images) else 1
            for start in range(0, len(images), batch):
                yield self._averaged(forwards, np.array(images[start : start + batch]))
            return
        assert self.tiling is not None
        tiles = at_once((self.tiling.height, self.tiling.width))
        for image in images:
            yield blended(lambda batch: self._averaged(forwards, batch), image, self.tiling, batch=tiles)[None]

    def batches(self, images: Images | Sequence[np.ndarray]) -> int:
        """Return the number of batches of `probabilities` and `labels`."""
        return len(images) if self._tiled(images) or not len(images) else -(-len(images) // at_once(images[0].shape))

    def _tiled(self, images: Images | Sequence[np.ndarray]) -> bool:
        """Return whether an image has another size than a tile."""
        if self.tiling is None:
            return False
        return any(image.shape[:2] != (self.tiling.height, self.tiling.width) for image in images)

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

    def labels(self, images: Images) -> Iterator[np.ndarray]:
        """Yield the labels of the images, stored pixels, in order, batch by batch: (B, H, W) uint8."""
        for probabilities in self.probabilities(images):
            yield self.decision.labels(probabilities).to(torch.uint8).cpu().numpy()
