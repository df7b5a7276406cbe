"""Sizes and strata of the split, by exact numbers."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.data.split import split, stratified_part


def sizes(counts: np.ndarray, seed: int = 0) -> tuple[int, int, int]:
    parts = split(counts, seed)
    return len(parts["train"]), len(parts["val"]), len(parts["test"])


def holding(*images_of_class: range, count: int) -> np.ndarray:
    """(count, C): one pixel of class c in each of the images that are named for it."""
    counts = np.zeros((count, len(images_of_class)), np.int64)
    for label, images in enumerate(images_of_class):
        counts[list(images), label] = 1
    return counts


def shared(parts: dict[str, np.ndarray], images: range) -> tuple[int, int, int]:
    """How many of these images train, val and test have."""
    of_part = [int(np.isin(parts[part], images).sum()) for part in ("train", "val", "test")]
    return of_part[0], of_part[1], of_part[2]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (10, (8, 1, 1)),
        (14, (12, 1, 1)),
        (15, (11, 2, 2)),
        (16, (12, 2, 2)),
        (24, (20, 2, 2)),
        (26, (20, 3, 3)),
        (49, (39, 5, 5)),
        (99, (79, 10, 10)),
        (101, (81, 10, 10)),
    ],
)
def test_validation_and_test_each_get_a_tenth_of_the_images_rounded(count, expected):
    assert sizes(np.ones((count, 1), np.int64)) == expected


def test_ten_images_are_enough():
    assert sizes(np.ones((10, 2), np.int64)) == (8, 1, 1)


def test_images_of_five_classes_two_each_are_split_as_one_stratum():
    counts = holding(*(range(2 * label, 2 * label + 2) for label in range(5)), count=10)
    assert sizes(counts) == (8, 1, 1)
    held_out = {tuple(np.concatenate([split(counts, seed)["val"], split(counts, seed)["test"]])) for seed in range(8)}
    assert len(held_out) > 1  # the seed decides there too


@pytest.mark.parametrize(
    ("rare", "expected", "of_rare"),
    [
        (2, (39, 5, 5), (2, 0, 0)),  # two images cannot be in three parts; the others make up for them
        (3, (39, 5, 5), (1, 1, 1)),
        (4, (39, 5, 5), (2, 1, 1)),
        (15, (39, 5, 5), (11, 2, 2)),  # round(1.5) = 2, then round(4.9) - 2
        (16, (39, 5, 5), (12, 2, 2)),
    ],
)
def test_the_rarest_class_is_shared_out_first_and_the_whole_keeps_its_tenths(rare, expected, of_rare):
    counts = holding(range(49), range(rare), count=49)
    assert sizes(counts) == expected
    assert shared(split(counts, 3), range(rare)) == of_rare


def test_each_stratum_of_three_or_more_gives_an_image_to_each_part():
    # By rarity: 3 images, 6 and 21. Rounded so far 0, 1 and 3, but at least 1 each.
    counts = holding(range(3, 9), range(30), range(3), count=30)
    parts = split(counts, 0)
    assert [shared(parts, images) for images in (range(3), range(3, 9), range(9, 30))] == [
        (1, 1, 1),
        (4, 1, 1),
        (19, 1, 1),
    ]
    assert all((np.diff(indices) > 0).all() and indices.dtype == np.int64 for indices in parts.values())


def test_two_strata_of_five_give_one_image_each_to_validation_and_to_test():
    counts = holding(range(5), range(5, 10), count=10)
    parts = split(counts, 0)
    assert shared(parts, range(5)) == shared(parts, range(5, 10)) == (3, 1, 1)


def test_a_stratum_keeps_an_image_for_training_whatever_those_before_it_did_not_give():
    # Eight strata of two give nothing, so that the ninth would owe two to each part: it has only four images.
    counts = holding(range(16, 20), *(range(2 * label, 2 * label + 2) for label in range(8)), count=20)
    parts = split(counts, 0)
    assert shared(parts, range(16, 20)) == (2, 1, 1)
    assert shared(parts, range(16)) == (16, 0, 0)


def test_the_rarest_class_is_the_one_with_the_fewest_pixels_not_with_the_fewest_images():
    counts = holding(range(20), range(10), range(3), count=20) * [100, 1, 50]
    # Strata of 10 and 10. With the class of three images as the rarest there would be three, of 3, 7 and 10.
    assert sizes(counts) == (16, 2, 2)


def test_images_without_a_labelled_pixel_are_a_stratum_of_their_own():
    parts = split(holding(range(16), count=20), 0)
    assert shared(parts, range(16, 20)) == (2, 1, 1)
    assert shared(parts, range(16)) == (12, 2, 2)


def test_a_class_that_no_image_holds_changes_nothing():
    counts = holding(range(30), range(3), count=30)
    with_absent = np.insert(counts, 1, 0, axis=1)
    for part, indices in split(counts, 5).items():
        np.testing.assert_array_equal(split(with_absent, 5)[part], indices)


def test_of_two_classes_equally_rare_the_first_has_the_stratum():
    # 30 pixels each: 10 images of 3, and 5 of these with 6. Strata of 10 and 10, or of 5, 5 and 10.
    counts = holding(range(20), range(10), range(5), count=20) * [100, 3, 6]
    assert sizes(counts) == (16, 2, 2)
    assert sizes(counts[:, [0, 2, 1]]) == (14, 3, 3)


NO_CLASS = np.zeros((100, 1), bool)
"""Of images that hold no class that might be lost."""


@pytest.mark.parametrize(
    ("fraction", "rare", "others"),
    [(0.5, 2, 3), (0.4, 2, 2), (0.3, 1, 2), (0.2, 1, 1), (0.1, 0, 1), (0.99, 4, 6), (1.0, 4, 6)],
)
def test_a_part_holds_its_fraction_of_rare_images_and_of_others_rounded(fraction, rare, others):
    indices = np.arange(10) * 3
    holds_rarest = np.arange(10) % 3 == 0  # four of ten
    part = stratified_part(indices, NO_CLASS[:10], holds_rarest, fraction, 0)
    assert (np.isin(part, indices[holds_rarest]).sum(), np.isin(part, indices[~holds_rarest]).sum()) == (rare, others)


def test_a_fraction_too_small_for_any_image_still_gives_the_first():
    part = stratified_part(np.array([7, 8, 9]), NO_CLASS[:3], np.array([False, True, False]), 0.1, 0)
    assert part.tolist() == [7]


def test_of_the_images_with_a_class_the_one_that_a_larger_fraction_would_add_first_is_added():
    """Among the others, every hundredth of the fraction adds an image; the single rare image comes with half of all."""
    indices = np.arange(101)
    rare = indices == 0
    parts = {}
    for other in range(1, 101):
        holds = np.isin(indices, [0, other])[:, None]
        parts[other] = set(stratified_part(indices, holds, rare, 0.01, 0))
    first = min(parts.values(), key=len)  # the image of 1 % holds the class itself
    assert len(first) == 1
    assert sum(part == first | {other} for other, part in parts.items()) == 50
    assert sum(part == first | {0} for part in parts.values()) == 50


def test_the_seed_decides_which_part_of_the_images():
    indices, rare = np.arange(100), np.arange(100) < 20
    parts = [stratified_part(indices, NO_CLASS, rare, 0.5, seed).tolist() for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]


def test_a_small_stratum_after_those_that_gave_too_much_gives_nothing():
    # Strata of 3, 3 and 3 give one image each, where 1.1 were due; that of 2 does not take them back.
    counts = holding(range(9, 11), range(3), range(3, 6), range(6, 9), count=11) * [9, 1, 1, 1]
    parts = split(counts, 0)
    assert shared(parts, range(9)) == (3, 3, 3)
    assert shared(parts, range(9, 11)) == (2, 0, 0)


def test_of_many_classes_equally_rare_the_first_has_the_stratum():
    counts = holding(range(20), range(10), *[range(5)] * 62, count=20) * [100, 3, *[6] * 62]
    assert sizes(counts) == (16, 2, 2)
