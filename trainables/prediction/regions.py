"""Connected regions of a mask, with NumPy alone: a model that is used elsewhere needs no image library for them."""

from __future__ import annotations

import numpy as np


def small_regions(labels_hw: np.ndarray, smallest: int) -> np.ndarray:
    """Return the pixels of connected regions with fewer than `smallest` pixels: (H, W) bool.

    A region consists of pixels with the same label; diagonal neighbours are connected.
    """
    runs_hw, lengths = _runs(labels_hw)
    roots = _joined(len(lengths), *_touching(labels_hw, runs_hw))
    sizes = np.bincount(roots, weights=lengths, minlength=len(lengths))
    return (sizes[roots] < smallest)[runs_hw]


def _runs(labels_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the runs of equal labels in the rows; returns the run of each pixel (H, W) and the length of each run."""
    begins = np.ones(labels_hw.shape, dtype=bool)
    begins[:, 1:] = labels_hw[:, 1:] != labels_hw[:, :-1]
    runs = begins.ravel().cumsum() - 1
    return runs.reshape(labels_hw.shape), np.bincount(runs)


def _touching(labels_hw: np.ndarray, runs_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of runs (P,), (P,) of the same label that touch: the first is in the row above the second."""
    above, below = [], []
    width = labels_hw.shape[1]
    for shift in (-1, 0, 1):
        upper, lower = slice(max(0, -shift), width - max(0, shift)), slice(max(0, shift), width - max(0, -shift))
        same = labels_hw[:-1, upper] == labels_hw[1:, lower]
        above.append(runs_hw[:-1, upper][same])
        below.append(runs_hw[1:, lower][same])
    pairs = np.stack([np.concatenate(above), np.concatenate(below)])
    repeats = (pairs[:, 1:] == pairs[:, :-1]).all(0)  # runs touch at many pixels in a row
    first, second = pairs[:, np.concatenate([[True], ~repeats])] if pairs.shape[1] else pairs
    return first, second


def _joined(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the smallest node of the connected component of each node: (count,), of a graph with these edges."""
    parents = np.arange(count)
    while True:
        ours, theirs = parents[first], parents[second]
        apart = ours != theirs
        if not apart.any():
            return parents
        first, second, ours, theirs = first[apart], second[apart], ours[apart], theirs[apart]
        np.minimum.at(parents, np.maximum(ours, theirs), np.minimum(ours, theirs))
        while not np.array_equal(following := parents[parents], parents):
            parents = following
