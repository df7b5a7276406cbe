"""The IoU of classes, its mean, and which classes count in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tallies:
    """Pixels of each class, all that a score needs of a confusion matrix; integers, or floats that hold integers."""

    hits: np.ndarray
    """(..., C) pixels whose true label was predicted."""
    true: np.ndarray
    """(..., C) pixels of each true label."""
    predicted: np.ndarray
    """(..., C) pixels of each predicted label, of those that have a true one."""

    @classmethod
    def of(cls, confusion: np.ndarray) -> Tallies:
        """Sum up confusion matrices (..., C, C): rows are true labels, columns predictions."""
        return cls(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1), confusion.sum(-2))

    def class_iou(self, ignored_label: int | None) -> np.ndarray:
        """Return the IoU of each class, see `class_iou`."""
        counts = self.true > 0
        if ignored_label is not None:
            counts[..., ignored_label] = self.predicted[..., ignored_label] > 0
        hits = self.hits.astype(np.float64)
        return np.divide(hits, self.true + self.predicted - hits, out=np.full(hits.shape, np.nan), where=counts)


def class_iou(confusion: np.ndarray, ignored_label: int | None) -> np.ndarray:
    """Return the IoU of each class: (..., C) float64 in [0, 1]; NaN for classes that do not count.

    A class counts if the truth holds it. The mean is therefore over the same classes for every model on the same
    images: a model that predicts one pixel of a class that these images lack is wrong about that pixel, but not about a
    class more. The ignored class has no truth. It counts, with an IoU of 0, if it is predicted on a labelled pixel, as
    in `keras.metrics.MeanIoU(ignore_class=...)`; models that never predict it are not affected.

    Args:
        confusion: (..., C, C) pixel counts: rows are true labels, columns predictions. The row of the ignored label
            is 0.
        ignored_label: the ignored label; None: no label is ignored.
    """
    return Tallies.of(confusion).class_iou(ignored_label)


def mean_iou(confusion: np.ndarray, ignored_label: int | None) -> np.ndarray:
    """Return the mean of `class_iou` over the classes that count: (...) float64; NaN if there are none."""
    return mean_of_counted(class_iou(confusion, ignored_label))


def mean_of_counted(by_class: np.ndarray) -> np.ndarray:
    """Return the mean over classes: (...) float64; NaN if none counts.

    Args:
        by_class: (..., C) float64; NaN for classes that do not count.
    """
    counts = ~np.isnan(by_class)
    total = np.where(counts, by_class, 0.0).sum(-1)
    return np.divide(total, counts.sum(-1), out=np.full(total.shape, np.nan), where=counts.any(-1))
