"""The split into train, validation and test parts."""

from __future__ import annotations

import numpy as np

HELD_OUT = 0.1
"""Part of the images that validation and test get, each."""
FEWEST = 10
"""Fewer images cannot be split 80/10/10."""


def split(pixel_counts: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """A seeded, stratified 80/10/10 split.

    An image's stratum is the rarest class that it holds; each stratum is split alike, and one of three or more images
    gives at least one to validation and to test, so that the rarest class is in every part.

    Args:
        pixel_counts: (N, C) pixels of each scored class in each image.
        seed: of the shuffling.

    Returns: sorted indices (int64) by part: "train", "val", "test".

    Raises:
        ValueError: for fewer than 10 images.
    """
    count, classes = pixel_counts.shape
    if count < FEWEST:
        raise ValueError(f"{count} images are too few to split 80/10/10: at least {FEWEST} are needed")
    rarity = np.argsort(np.argsort(pixel_counts.sum(axis=0), kind="stable"), kind="stable")  # 0: the rarest class
    stratum = np.where(pixel_counts > 0, rarity, classes).min(axis=1)  # `classes`: images without a labelled pixel
    parts = _split_strata(stratum, seed)
    if not len(parts["val"]):  # every stratum is tiny
        parts = _split_strata(np.zeros(count, np.int64), seed)
    return parts


def _split_strata(stratum: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    seen, given = 0, 0
    for label in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == label))
        # Rounded over all strata so far, so that small strata do not add up to a part that is too small or too large.
        seen += len(members)
        held_out = max(round(HELD_OUT * seen) - given, 1 if len(members) >= 3 else 0)
        held_out = min(held_out, (len(members) - 1) // 2)
        given += held_out
        parts["val"].append(members[:held_out])
        parts["test"].append(members[held_out : 2 * held_out])
        parts["train"].append(members[2 * held_out :])
    return {part: np.sort(np.concatenate(members)).astype(np.int64) for part, members in parts.items()}


def stratified_part(indices: np.ndarray, holds_rarest: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """A seeded part of the images with the same share of those that hold the rarest class, sorted; at least one.

    Args:
        indices: (K,) of the images.
        holds_rarest: (K,) bool.
        fraction: in (0, 1].
        seed: of the choice; a larger fraction holds a smaller one.
    """
    if fraction == 1:
        return indices
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(indices[holds_rarest == rare])[: round(fraction * np.count_nonzero(holds_rarest == rare))]
        for rare in (True, False)
    ]
    return np.sort(np.concatenate(chosen)) if sum(map(len, chosen)) else indices[:1]
