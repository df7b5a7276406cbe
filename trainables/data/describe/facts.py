"""The summary of a data set: sizes, channels, intensities, class shares and objects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from trainables.data.prepare import PreparedData
from trainables.data.sizes.images import range_of

MOST_IMAGES = 256
"""Largest number of images whose pixels are looked at; of more, a seeded sample."""
SHOWN_CLASSES = 20
"""Most classes that are listed."""


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects of a class: its connected pixels (8 neighbours) in the images that were looked at."""

    count: int
    smallest: int
    """Pixels of the smallest object."""
    median: float
    """Median of the objects' pixels."""


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What a data set is like."""

    images: int
    """Number of labelled images."""
    train_images: int
    sizes: np.ndarray
    """(N, 2) int64: height and width of each labelled image."""
    intensities: tuple[tuple[float, float, float, float], ...]
    """Minimum, maximum, mean and standard deviation of each channel, as stored."""
    class_shares: dict[str, float]
    """Fraction of all pixels, in [0, 1], by class name."""
    objects: dict[str, Objects]
    """Objects of each scored class that the images hold, by class name."""
    looked_at: int
    """Number of images whose intensities and objects these are."""

    def lines(self) -> list[str]:
        """Describe it, a line a fact."""
        lines = [f"{self.images} labelled images of {range_of(self.sizes)} pixels, {self.train_images} to train on"]
        for channel, (least, most, mean, deviation) in enumerate(self.intensities):
            lines.append(
                f"channel {channel}: {least:.4g} to {most:.4g}, mean {mean:.4g}, standard deviation {deviation:.4g}"
            )
        for name, share in list(self.class_shares.items())[:SHOWN_CLASSES]:
            line = f"class {name}: {share:.2%} of the pixels"
            if (found := self.objects.get(name)) is not None:
                line += f", {found.count:,} objects, the smallest of {found.smallest} pixels, median {found.median:g}"
            lines.append(line)
        if (others := len(self.class_shares) - SHOWN_CLASSES) > 0:
            lines.append(f"and {others} more classes")
        if self.looked_at < self.images:
            lines.append(f"intensities and objects are those of {self.looked_at} images, drawn at random")
        return lines


def summarise(data: PreparedData) -> DataSummary:
    """Return the summary of a prepared data set; reads the pixels of at most MOST_IMAGES images."""
    described, count = data.description, len(data.images)
    chosen = np.arange(count)
    if count > MOST_IMAGES:
        chosen = np.sort(np.random.default_rng(0).choice(count, MOST_IMAGES, replace=False))
    areas: dict[int, list[int]] = {label: [] for label in described.scored_labels}
    for index in chosen:
        for label, found in object_areas(data.masks[int(index)], described.ignored_label).items():
            areas[label] += found
    return DataSummary(
        images=count,
        train_images=len(data.split["train"]),
        sizes=data.sizes,
        intensities=_intensities([data.images[int(index)] for index in chosen]),
        class_shares=dict(data.report.class_shares),
        objects={
            described.class_names[label]: Objects(count=len(found), smallest=min(found), median=float(np.median(found)))
            for label, found in areas.items()
            if found
        },
        looked_at=len(chosen),
    )


def object_areas(mask_hw: np.ndarray, ignored_label: int | None) -> dict[int, list[int]]:
    """Return the areas, in pixels, of the connected objects of each class in a mask (H, W)."""
    found: dict[int, list[int]] = {}
    for label in np.unique(mask_hw).tolist():
        if label != ignored_label:
            _, _, boxes, _ = cv2.connectedComponentsWithStats((mask_hw == label).astype(np.uint8))
            found[label] = boxes[1:, cv2.CC_STAT_AREA].tolist()
    return found


def _intensities(images: list[np.ndarray]) -> tuple[tuple[float, float, float, float], ...]:
    """Return minimum, maximum, mean and standard deviation of each channel of images (H, W) or (H, W, C)."""
    channels = 1 if images[0].ndim == 2 else images[0].shape[2]
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    least, most = np.full(channels, np.inf), np.full(channels, -np.inf)
    total, squares = np.zeros(channels), np.zeros(channels)
    for image in images:
        flat = image.reshape(-1, channels).astype(np.float64)
        least, most = np.minimum(least, flat.min(0)), np.maximum(most, flat.max(0))
        total, squares = total + flat.sum(0), squares + (flat**2).sum(0)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return tuple(zip(least.tolist(), most.tolist(), mean.tolist(), deviation.tolist(), strict=True))
