"""`unusable_pairs` exactly at its limits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trainables.data.cleaning.unusable_pairs import Flagged, unusable_pairs
from trainables.data.description import MARS

COUNTING_ALL = dataclasses.replace(MARS, ignored_label=None)
SHARED = "share one and the same mask of several classes"
ODD = "have a mean pixel more than 6 robust standard deviations from the median"


def found(images: np.ndarray, masks: np.ndarray, described=MARS) -> dict[str, tuple[int, ...]]:
    return {dropped.reason: dropped.indices for dropped in unusable_pairs(images, masks, described)}


def of_brightness(*levels: float, scale: float = 1) -> dict[str, tuple[int, ...]]:
    """What is dropped of images of these levels, with masks of one class."""
    images = np.repeat(np.array(levels) * scale, 6).reshape(-1, 2, 3)
    images = images.astype(np.uint8) if scale == 1 else images.astype(np.float32)
    return found(images, np.ones(images.shape, np.uint8))


def of_masks(*masks: list[int], described=MARS) -> tuple[int, ...]:
    """What is dropped of images with these masks of one row, all of one brightness."""
    found_there = found(np.full((len(masks), 1, len(masks[0])), 90, np.uint8), np.uint8(masks)[:, None], described)
    assert set(found_there) <= {SHARED}
    return found_there.get(SHARED, ())


def test_a_mask_may_be_shared_by_two_images_and_not_by_three():
    assert of_masks([1, 2, 2], [1, 2, 2], [1, 1, 2]) == ()
    assert of_masks([1, 2, 2], [1, 2, 2], [1, 2, 2]) == (0, 1, 2)


def test_several_shared_masks_are_one_list_in_the_order_of_the_file():
    one, other = [1, 2, 2], [3, 3, 4]
    assert of_masks(other, one, [1, 3, 4], one, other, [2, 3, 4], one, other) == (0, 1, 3, 4, 6, 7)


@pytest.mark.parametrize(
    ("mask", "described", "dropped"),
    [
        ([2, 2, 2], MARS, False),
        ([0, 2, 2], MARS, False),  # unlabelled is no class
        ([0, 0, 0], MARS, False),
        ([1, 2, 2], MARS, True),
        ([0, 1, 2], MARS, True),
        ([0, 2, 2], COUNTING_ALL, True),
        ([0, 0, 0], COUNTING_ALL, False),
    ],
)
def test_only_a_mask_of_two_scored_classes_is_too_good_to_be_shared(mask, described, dropped):
    assert of_masks(mask, mask, mask, described=described) == ((0, 1, 2) if dropped else ())


def test_images_may_be_the_same_where_their_masks_differ():
    assert of_masks([1, 2, 2], [1, 1, 2], [2, 1, 1], [2, 2, 1]) == ()


@pytest.mark.parametrize(
    ("spread", "kept", "dropped"),
    [
        # Limits: 6 * 1.4826 * 2 = 17.8 grey levels, 6 * 1.4826 * 10 = 88.96.
        (2, (83, 117), (82, 118)),
        (10, (12, 188), (11, 189)),
        # Below half a grey level the spread counts as that: 6 * 0.5 = 3 grey levels, themselves allowed.
        (0, (97, 103), (96, 104)),
    ],
)
def test_brightness_is_odd_beyond_six_robust_deviations_on_either_side(spread, kept, dropped):
    usual = [100 - spread] * 4 + [100 + spread] * 4
    assert of_brightness(*usual, *kept) == {}
    assert of_brightness(*usual, *dropped) == {ODD: (8, 9)}
    assert of_brightness(dropped[0], *usual, kept[1]) == {ODD: (0,)}
    assert of_brightness(dropped[1], *usual, kept[0]) == {ODD: (0,)}


def test_brightness_in_0_to_1_has_the_same_limits():
    usual = [98] * 4 + [102] * 4
    assert of_brightness(*usual, 83, 117, scale=1 / 255) == {}
    assert of_brightness(*usual, 82, 118, scale=1 / 255) == {ODD: (8, 9)}
    assert of_brightness(*[100] * 8, 97.1, 102.9, scale=1 / 255) == {}
    assert of_brightness(*[100] * 8, 96.9, 103.1, scale=1 / 255) == {ODD: (8, 9)}


def test_brightness_is_the_mean_pixel_of_an_image():
    images = np.full((9, 2, 2), 100, np.uint8)
    images[3] = [[100, 100], [100, 112]]  # a mean of 103, the limit
    images[5] = [[100, 100], [100, 113]]
    assert found(images, np.ones(images.shape, np.uint8)) == {ODD: (5,)}


def test_an_image_may_be_dropped_for_two_reasons_and_each_is_told():
    images = np.full((9, 1, 2), 100, np.uint8)
    images[2] = 200
    masks = np.ones(images.shape, np.uint8)
    masks[[1, 2, 7], 0, 0] = 3
    assert unusable_pairs(images, masks, MARS) == [
        Flagged(reason=SHARED, indices=(1, 2, 7)),
        Flagged(reason=ODD, indices=(2,)),
    ]
