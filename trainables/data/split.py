"""The split of a data set into train, validation and test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PARTS = ("train", "val", "test")
HELD_OUT = 0.1
"""Fraction of the images in the validation part, and in the test part."""
FEWEST = 10
"""Smallest number of images that can be split 80/10/10."""


def split(pixel_counts: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split images 80/10/10, stratified and seeded.

    The stratum of an image is the rarest class in it. Each stratum is split in the same proportions. A stratum of three
    or more images has at least one in the validation and one in the test part, so that the rarest class is in every
    part. If every stratum is so small that no labelled image would be in the validation part, all labelled images are
    one stratum.

    Args:
        pixel_counts: (N, C) pixels of each scored class in each image.
        seed: seed of the shuffling.

    Returns:
        Sorted indices (int64) by part: "train", "val", "test".

    Raises:
        ValueError: if there are fewer than 10 images.
    """
    count, classes = pixel_counts.shape
    if count < FEWEST:
        raise ValueError(f"{count} images are too few to split 80/10/10: at least {FEWEST} are needed")
    rarity = np.argsort(np.argsort(pixel_counts.sum(axis=0), kind="stable"), kind="stable")  # 0: the rarest class
    stratum = np.where(pixel_counts > 0, rarity, classes).min(axis=1)  # `classes`: images without a labelled pixel
    parts = _split_strata(stratum, seed)
    if (stratum[parts["val"]] == classes).all():  # also if there are none
        parts = _split_strata((stratum == classes).astype(np.int64), seed)
    return parts


def given_split(pixel_counts: np.ndarray, parts: Sequence[str | None], seed: int) -> dict[str, np.ndarray]:
    """Return the user's own split. A validation or test part that it lacks is drawn from the other images, see `split`.

    Args:
        pixel_counts: (N, C) pixels of each scored class in each image.
        parts: "train", "val" or "test" for each image; None: in the train part unless it is drawn for another.
        seed: seed of what is drawn.

    Raises:
        ValueError: if no image is left to train on, or too few to draw a part from.
    """
    given = {part: np.array([index for index, of in enumerate(parts) if of == part], np.int64) for part in PARTS}
    pool = np.array([index for index, part in enumerate(parts) if part in (None, "train")], np.int64)
    if not len(pool):
        raise ValueError("the split leaves no image to train on")
    if len(given["val"]) and len(given["test"]):
        return given | {"train": pool}
    drawn = {part: pool[chosen] for part, chosen in split(pixel_counts[pool], seed).items()}
    for part in ("val", "test"):
        if len(given[part]):
            drawn["train"] = np.sort(np.concatenate([drawn["train"], drawn[part]]))
            drawn[part] = given[part]
    return drawn


def _split_strata(stratum: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split each stratum 80/10/10. `stratum` is (N,) int64."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    seen, given = 0, 0
    for label in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == label))
        # Rounded on the total of the strata so far, so that rounding errors of small strata do not add up.
        seen += len(members)
        held_out = max(round(HELD_OUT * seen) - given, 1 if len(members) >= 3 else 0)
        held_out = min(held_out, (len(members) - 1) // 2)
        given += held_out
        parts["val"].append(members[:held_out])
        parts["test"].append(members[held_out : 2 * held_out])
        parts["train"].append(members[2 * held_out :])
    return {part: np.sort(np.concatenate(members)).astype(np.int64) for part, members in parts.items()}


def stratified_part(
    indices: np.ndarray, holds: np.ndarray, holds_rarest: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Return the sorted indices of a random fraction of the images, stratified by the rarest class; at least one.

    A class that would be lost adds an image that holds it, so the part holds every class that the images hold.

    Args:
        indices: (K,) sorted indices of the images.
        holds: (K, C) bool, whether an image contains a class.
        holds_rarest: (K,) bool, whether an image contains the rarest class of the data.
        fraction: fraction of the images, in (0, 1].
        seed: seed of the choice. With the same seed, a larger fraction includes the images of a smaller one.
    """
    if fraction == 1:
        return indices
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(indices), bool)
    turn = np.empty(len(indices))  # the fraction from which on an image is chosen
    for rare in (True, False):
        order = rng.permutation(np.flatnonzero(holds_rarest == rare))
        chosen[order[: round(fraction * len(order))]] = True
        turn[order] = (np.arange(len(order)) + 0.5) / max(1, len(order))
    # Of the images with a class, the one whose turn comes first: whichever the fraction, it is the same one.
    first = np.where(holds, turn[:, None], np.inf).argmin(0)
    chosen[first[holds.any(0)]] = True
    return indices[chosen] if chosen.any() else indices[:1]
