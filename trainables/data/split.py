"""The split of a data set into train, validation and test part: at random, by groups, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PARTS = ("train", "val", "test")
RANDOM, GROUPED, GIVEN = SPLITS = ("random", "grouped", "given")
"""Kinds of splits: image by image, group by group, and the one that the data set has."""
HELD_OUT = 0.1
"""Fraction of the images in the validation part, and in the test part."""
FEWEST = 10
"""Smallest number of images that can be split 80/10/10."""
FEWEST_GROUPS = 3
"""Smallest number of groups that can be split: one for each part."""


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
    return grouped_split(pixel_counts, np.arange(len(pixel_counts)), seed)


def grouped_split(pixel_counts: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split images about 80/10/10 so that all images of a group are in the same part, stratified and seeded.

    The groups are split as `split` splits images: the stratum of a group is the rarest class in it, and a stratum of
    three or more groups has at least one in each part. A group larger than what a part still lacks is left to the train
    part, so large groups make the other parts differ from a tenth. Groups of one image each are split as by `split`.

    Args:
        pixel_counts: (N, C) pixels of each scored class in each image.
        groups: (N,) number of the group of each image, in 0 to G - 1; each number occurs.
        seed: seed of the shuffling.

    Returns:
        Sorted indices (int64) by part: "train", "val", "test".

    Raises:
        ValueError: if there are fewer than 10 images, or fewer than 3 groups.
    """
    count, classes = pixel_counts.shape
    if count < FEWEST:
        raise ValueError(f"{count} images are too few to split 80/10/10: at least {FEWEST} are needed")
    sizes = np.bincount(groups)
    if len(sizes) < FEWEST_GROUPS:
        found = "all images are in one group" if len(sizes) == 1 else f"the images are in {len(sizes)} groups only"
        raise ValueError(
            f"{found}, and images of one group are never in different parts: at least {FEWEST_GROUPS} groups are "
            "needed; give smaller ones, for example with --group-pattern, or --split random"
        )
    rarity = np.argsort(np.argsort(pixel_counts.sum(axis=0), kind="stable"), kind="stable")  # 0: the rarest class
    of_image = np.where(pixel_counts > 0, rarity, classes).min(axis=1)  # `classes`: images without a labelled pixel
    stratum = np.full(len(sizes), classes)
    np.minimum.at(stratum, groups, of_image)
    parts = _split_strata(stratum, sizes, seed)
    if (stratum[parts["val"]] == classes).all():  # also if there are none
        parts = _split_strata((stratum == classes).astype(np.int64), sizes, seed)
    if not len(parts["val"]):  # two groups with labelled pixels, and two without
        parts = _split_strata(np.zeros_like(stratum), sizes, seed)
    return {part: np.flatnonzero(np.isin(groups, members)) for part, members in parts.items()}


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


def _split_strata(stratum: np.ndarray, sizes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split the groups of each stratum 80/10/10 by their images. `stratum` and `sizes` (in images) are (G,) int64."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    seen, given = 0, {"val": 0, "test": 0}
    for label in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == label))
        # Rounded on the total of the strata so far, so that rounding errors of small strata do not add up.
        seen += int(sizes[members].sum())
        most = (len(members) - 1) // 2
        rest = members
        for part in ("val", "test"):
            wanted = max(round(HELD_OUT * seen) - given[part], 1 if len(members) >= FEWEST_GROUPS else 0)
            taken = _drawn(sizes[rest], wanted, most)
            parts[part].append(rest[taken])
            given[part] += int(sizes[rest[taken]].sum())
            rest = rest[~taken]
        parts["train"].append(rest)
    return {part: np.sort(np.concatenate(members)).astype(np.int64) for part, members in parts.items()}


def _drawn(sizes: np.ndarray, wanted: int, most: int) -> np.ndarray:
    """Return which groups, taken in their order, bring a part close to a number of images: (G,) bool, at most `most`.

    A group is taken if the number of images is closer to the wanted one with it. At least one is taken, the smallest,
    if an image is wanted.
    """
    taken = np.zeros(len(sizes), bool)
    if wanted <= 0 or not most:
        return taken
    lacking, left = wanted, most
    for place, size in enumerate(sizes.tolist()):
        if abs(lacking - size) < lacking:
            taken[place] = True
            lacking, left = lacking - size, left - 1
            if lacking <= 0 or not left:
                break
    if not taken.any():
        taken[sizes.argmin()] = True
    return taken


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
