"""A trained model that turns images into masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from reports.bundle.contents import Contents
from reports.bundle.pixels import stored_pixels
from trainables.device import uses_bf16
from trainables.prediction.predictor import FLIPS, Predictor, at_once
from trainables.prediction.tiling import Tiling


class Model:
    """A model of a bundle, on a device.

    Images may have any size. An image that is larger than those that the model was trained on is predicted in
    overlapping tiles, whose probabilities are blended.

    Args:
        contents: what the bundle says about the model.
        networks: one network for each member, in evaluation mode on the device.
        device: the device.
    """

    def __init__(self, contents: Contents, networks: Sequence[nn.Module], device: torch.device):
        self.contents, self.device = contents, device
        height, width = contents.tile
        self._tiled = Predictor(
            models=networks,
            pixels=contents.pixels,
            device=device,
            bf16=uses_bf16(contents.precision, device),
            suppressed=contents.suppressed,
            flips=FLIPS[: contents.flips],
            weights=[member.weight for member in contents.members],
            decision=contents.decision,
            tiling=Tiling(height=height, width=width),
        )
        self._whole = dataclasses.replace(self._tiled, tiling=None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by label."""
        return self.contents.description.class_names

    @property
    def predictor(self) -> Predictor:
        """The predictor of images of the size that the model was trained on."""
        return self._whole

    def predict(self, image: Any) -> np.ndarray:
        """Return the mask of an image, with the values of the masks that the model was trained on.

        Args:
            image: path of an image file, or an array (H, W), (H, W, C) or (C, H, W): see `stored_pixels`.

        Returns: (H, W) integers, of the smallest dtype that holds all values; or (H, W, 3) uint8 colours if the model
            was trained on masks of colours.

        Raises:
            ValueError: if it is no image, or its channels or pixels do not suit the model.
        """
        return self.contents.description.masks(self.labels(image))

    def labels(self, image: Any) -> np.ndarray:
        """Return the labels of an image, indices of `class_names`: (H, W) uint8. Raises what `predict` raises."""
        return next(self.each([self.stored(image)]))[0]

    def probabilities(self, image: Any) -> np.ndarray:
        """Return the class probabilities of an image: (C, H, W) float32 in [0, 1]. Raises what `predict` raises.

        They are averaged over members and flips. The decision from them to labels may differ from the most probable
        class: see `predict`.
        """
        return next(self.each([self.stored(image)]))[1].cpu().numpy()

    def stored(self, image: Any, name: str = "the image") -> np.ndarray:
        """Return an image as stored pixels, (H, W) or (H, W, C). Raises what `predict` raises."""
        return stored_pixels(image, self.contents.pixels, name)

    def each(self, images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield labels (H, W) uint8 and class probabilities (C, H, W) fp32, on the device, of each image in order.

        Consecutive images of the size that the model was trained on are computed together.

        Args:
            images: stored pixels of images of any size.
        """
        most = at_once(self.contents.tile)
        batch: list[np.ndarray] = []
        for image in images:
            if image.shape[:2] == self.contents.tile:
                batch.append(image)
                if len(batch) == most:
                    yield from self._decided(self._whole, np.stack(batch))
                    batch = []
                continue
            if batch:
                yield from self._decided(self._whole, np.stack(batch))
                batch = []
            yield from self._decided(self._tiled, [image])
        if batch:
            yield from self._decided(self._whole, np.stack(batch))

    def _decided(
        self, predictor: Predictor, images: np.ndarray | list[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for probabilities in predictor.probabilities(images):
            labels = predictor.decision.labels(probabilities).to(torch.uint8).cpu().numpy()
            yield from zip(labels, probabilities, strict=True)
