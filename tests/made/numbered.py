"""A data set of tiny images, made by hand in tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.data import DataDescription
from trainables.data.pixel_format import plain_format
from trainables.data.sizes.crops import crops_in
from trainables.data.sizes.images import sizes_of


class HandMade:
    """The part of prepared data that batches, mixing and evaluation read.

    Args:
        masks: (N, H, W) labels.
        images: (N, H, W); default: each image is filled with its own number.
        ignored_label, classes: ignored label and number of classes of the description.
        present: the scored labels that count as held by the data; default: all of them.
        rarest: the label of the rarest class.
        crop: (height, width) of crops; default: whole images.
    """

    def __init__(
        self,
        masks: np.ndarray | Sequence[object],
        images: np.ndarray | Sequence[object] | None = None,
        *,
        ignored_label: int | None = 0,
        classes: int = 4,
        present: Sequence[int] | None = None,
        rarest: int = 1,
        crop: tuple[int, int] | None = None,
    ):
        self.masks = np.array(masks, dtype=np.uint8)
        numbers = np.arange(len(self.masks), dtype=np.uint8)[:, None, None]
        self.images = np.broadcast_to(numbers, self.masks.shape) if images is None else np.array(images)
        self.pixels = plain_format(np.dtype(np.float32))  # without a scale
        names = tuple(f"class {label}" for label in range(classes))
        self.description = DataDescription(class_names=names, ignored_label=ignored_label)
        self.present_labels = tuple(self.description.scored_labels if present is None else present)
        self.rarest_label = rarest
        for array in (self.masks, self.images):
            array.flags.writeable = False  # like the memory maps of prepared data
        self.crop = crop or self.masks.shape[1:]
        self.sizes = sizes_of(self.masks)
        self.whole = self.crop == self.masks.shape[1:]

    def crops(self, indices: np.ndarray) -> np.ndarray:
        return crops_in(self.sizes[indices], self.crop)

    def holds(self, indices: np.ndarray, label: int) -> np.ndarray:
        return (self.masks[indices] == label).any(axis=(1, 2))

    def pixel_counts(self, indices: np.ndarray) -> np.ndarray:
        return np.bincount(self.masks[indices].ravel(), minlength=self.description.num_classes)
