"""Scores of predicted masks from one confusion matrix an image, with bootstrap intervals over images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trainables.data import PreparedData

DRAWS = 2000
"""Bootstrap samples."""
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A score, and what it would lie between with other images of the same kind, with a certainty of 95 %, say."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, kw_only=True)
class Confusions:
    """What a predictor said of some labelled images."""

    counts: np.ndarray
    """(N, C, C) int64 pixels of each image by truth and prediction; without those whose truth is ignored."""
    names: tuple[str, ...]
    """(C,) of the classes."""
    scored: tuple[int, ...]
    """Labels whose IoU counts, if the images hold or show them."""

    @classmethod
    def of(
        cls, data: PreparedData, indices: np.ndarray, predicted: Iterable[np.ndarray], *, suppressed: int | None
    ) -> Confusions:
        """Of predictions, batch by batch (B, H, W), of these images in order; `suppressed` they cannot hold."""
        described = data.description
        classes, found, start = described.num_classes, [], 0
        for batch in predicted:
            truth = data.masks[indices[start : start + len(batch)]]
            found += [confusion(mask, labels, classes) for mask, labels in zip(truth, batch, strict=True)]
            start += len(batch)
        counts = np.stack(found) if found else np.zeros((0, classes, classes), np.int64)
        if described.ignored_label is not None:
            counts[:, described.ignored_label] = 0
        return cls(counts=counts, names=tuple(described.class_names), scored=scored_labels(data, suppressed))

    def mean_iou(self) -> float:
        """Over the scored classes that the images hold or show; NaN without any. As `evaluate` has it."""
        return float(mean_iou(self.counts.sum(0), self.scored))

    def class_iou(self) -> dict[str, float]:
        """Of the scored classes that the images hold or show."""
        found = class_iou(self.counts.sum(0))
        return {self.names[label]: float(found[label]) for label in self.scored if not np.isnan(found[label])}

    def interval(self) -> Interval:
        """Of the mean IoU."""
        return _interval(self.mean_iou(), mean_iou(self._resampled(), self.scored))

    def class_intervals(self) -> dict[str, Interval]:
        drawn = class_iou(self._resampled())
        labels = {name: label for label, name in enumerate(self.names)}
        return {name: _interval(value, drawn[:, labels[name]]) for name, value in self.class_iou().items()}

    def gain_over(self, other: Confusions, level: float = LEVEL) -> Interval:
        """By how much the mean IoU is higher than another predictor's on the same images, paired."""
        drawn = mean_iou(self._resampled(), self.scored) - mean_iou(other._resampled(), self.scored)
        return _interval(self.mean_iou() - other.mean_iou(), drawn, level)

    def images_with(self) -> dict[str, int]:
        """In how many of the images each scored class is; the ignored one is in none."""
        held = (self.counts.sum(2) > 0).sum(0)
        return {self.names[label]: int(held[label]) for label in self.scored}

    def _resampled(self) -> np.ndarray:
        """(DRAWS, C, C): confusion matrices of as many images, drawn with replacement; the same draws each time."""
        count = len(self.counts)
        times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
        # As floats, which are exact up to 2^53 pixels: whole numbers are multiplied without BLAS, many times slower.
        drawn = times.astype(np.float64) @ self.counts.reshape(count, -1).astype(np.float64)
        return drawn.reshape(DRAWS, *self.counts.shape[1:])


def scored_labels(data: PreparedData, suppressed: int | None) -> tuple[int, ...]:
    """The labels whose IoU counts: those that the data holds.

    And the ignored one, where it may be predicted: on a labelled pixel it counts as one class more, with an IoU of 0,
    as in `keras.metrics.MeanIoU(ignore_class=...)`.
    """
    ignored = data.description.ignored_label
    return data.present_labels if ignored is None or suppressed == ignored else (ignored, *data.present_labels)


def confusion(truth_hw: np.ndarray, predicted_hw: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 pixels by truth and prediction."""
    pairs = truth_hw.ravel().astype(np.int64) * classes + predicted_hw.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """(..., C) of confusion matrices (..., C, C); NaN for classes that are neither held nor shown."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    union = counts.sum(-1) + counts.sum(-2) - hits
    return np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)


def mean_iou(counts: np.ndarray, scored: tuple[int, ...]) -> np.ndarray:
    """(...) mean IoU of confusion matrices (..., C, C) over the scored classes that are held or shown."""
    found = class_iou(counts)[..., list(scored)]
    known = ~np.isnan(found)
    total = np.where(known, found, 0.0).sum(-1)
    return np.divide(total, known.sum(-1), out=np.full(total.shape, np.nan), where=known.any(-1))


def _interval(value: float, drawn: np.ndarray, level: float = LEVEL) -> Interval:
    """The percentile interval (Efron and Tibshirani 1993, section 13.3)."""
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail]) if not np.isnan(drawn).all() else (np.nan, np.nan)
    return Interval(value, float(low), float(high))
