"""Scores of predicted masks from one confusion matrix per image, with bootstrap intervals over images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trainables.data import PreparedData
from trainables.prediction.iou import Tallies, class_iou
from trainables.prediction.metric import Metric

DRAWS = 2000
"""Number of bootstrap samples."""
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of two, and its confidence interval over images of the same kind."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "none"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, kw_only=True)
class Confusions:
    """Confusion matrices of a predictor on some labelled images."""

    counts: np.ndarray
    """(N, C, C) int64 pixels of each image by truth and prediction, without the pixels whose truth is ignored."""
    names: tuple[str, ...]
    """(C,) names of the classes."""
    scored: tuple[int, ...]
    """Labels whose IoU counts where the images hold them (see `class_iou`)."""
    ignored: int | None
    """The ignored label; None: no label is ignored."""
    metric: Metric
    """The score."""

    @classmethod
    def of(
        cls,
        data: PreparedData,
        indices: np.ndarray,
        predicted: Iterable[np.ndarray],
        *,
        suppressed: int | None,
        metric: Metric,
    ) -> Confusions:
        """Compare predictions, in batches (B, H, W), with the masks of the images `indices`, in the same order.

        `suppressed` is the label that the predictions cannot hold.
        """
        described = data.description
        classes, found, start = described.num_classes, [], 0
        for batch in predicted:
            truth = data.masks[indices[start : start + len(batch)]]
            found += [confusion(mask, labels, classes) for mask, labels in zip(truth, batch, strict=True)]
            start += len(batch)
        counts = np.stack(found) if found else np.zeros((0, classes, classes), np.int64)
        if described.ignored_label is not None:
            counts[:, described.ignored_label] = 0
        return cls(
            counts=counts,
            names=tuple(described.class_names),
            scored=scored_labels(data, suppressed),
            ignored=described.ignored_label,
            metric=metric,
        )

    def scored_by(self, metric: Metric) -> Confusions:
        """Return the same predictions under another metric."""
        return dataclasses.replace(self, metric=metric)

    def score(self) -> float:
        """Return the score over all images, as `evaluate` does; NaN if they hold no class that counts."""
        return float(self._scores(self.counts.sum(0)))

    def _scores(self, counts: np.ndarray | Tallies) -> np.ndarray:
        """Return the score of each of these confusion matrices (..., C, C), or of their tallies."""
        return self.metric.score(counts, self.names, self.ignored)

    def class_iou(self) -> dict[str, float]:
        """Return the IoU by name of the classes that the images hold."""
        found = class_iou(self.counts.sum(0), self.ignored)
        return {self.names[label]: float(found[label]) for label in self.scored if not np.isnan(found[label])}

    def interval(self) -> Interval:
        """Return the score with its bootstrap interval."""
        return _interval(self.score(), self._scores(self._resampled()))

    def class_intervals(self) -> dict[str, Interval]:
        drawn = self._resampled().class_iou(self.ignored)
        labels = {name: label for label, name in enumerate(self.names)}
        return {name: _interval(value, drawn[:, labels[name]]) for name, value in self.class_iou().items()}

    def gain_over(self, other: Confusions, level: float = LEVEL) -> Interval:
        """Return the gain in score over another predictor on the same images, with a paired bootstrap interval."""
        drawn = self._scores(self._resampled()) - self._scores(other._resampled())
        return _interval(self.score() - other.score(), drawn, level)

    def images_with(self) -> dict[str, int]:
        """Return the number of images that hold each scored class, by name; 0 for the ignored class."""
        held = (self.counts.sum(2) > 0).sum(0)
        return {self.names[label]: int(held[label]) for label in self.scored}

    def _resampled(self) -> Tallies:
        """Return DRAWS tallies, each of N images drawn with replacement; always the same draws.

        With 256 classes, confusion matrices would take a gigabyte.
        """
        count = len(self.counts)
        times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
        # Floats are exact up to 2^53 pixels. NumPy multiplies integers without BLAS, which is many times slower.
        each, drawn = Tallies.of(self.counts), times.astype(np.float64)
        return Tallies(*(drawn @ part.astype(np.float64) for part in (each.hits, each.true, each.predicted)))


def scored_labels(data: PreparedData, suppressed: int | None) -> tuple[int, ...]:
    """Return the labels whose IoU may count: those that the data holds.

    If the ignored label may be predicted, it counts too: predicted on a labelled pixel, it is one more class with an
    IoU of 0, as in `keras.metrics.MeanIoU(ignore_class=...)`.
    """
    ignored = data.description.ignored_label
    return data.present_labels if ignored is None or suppressed == ignored else (ignored, *data.present_labels)


def confusion(truth_hw: np.ndarray, predicted_hw: np.ndarray, classes: int) -> np.ndarray:
    """Return (C, C) int64 pixels by truth and prediction."""
    pairs = truth_hw.ravel().astype(np.int64) * classes + predicted_hw.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _interval(value: float, drawn: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the percentile interval (Efron and Tibshirani 1993, section 13.3)."""
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail]) if not np.isnan(drawn).all() else (np.nan, np.nan)
    return Interval(value, float(low), float(high))
