"""Crops lie within their image wherever it is large enough, and tiles count each of its pixels once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.made.numbered import HandMade
from trainables.data.sizes.crops import crops_in, mirror_padded, random_crop, tiles_of

sides = st.integers(1, 40)


@given(height=sides, width=sides, crop=st.tuples(sides, sides))
def test_tiles_count_every_pixel_once_and_are_as_large_as_the_image_allows(height, width, crop):
    counted = np.zeros((height, width), int)
    for tile in tiles_of(3, (height, width), crop):
        assert tile.index == 3
        assert counted[tile.box].shape == (min(height, crop[0]), min(width, crop[1]))
        counted[tile.box][tile.counted] += 1
    assert (counted == 1).all()


@given(height=sides, width=sides, crop=st.tuples(sides, sides), seed=st.integers(0, 9), rare=st.booleans())
def test_a_crop_is_a_part_of_its_image_or_holds_it_whole(height, width, crop, seed, rare):
    numbers = np.arange(height * width, dtype=np.int64).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[seed % height, (3 * seed) % width] = 1
    data = HandMade([mask], [numbers], crop=crop)
    image, label = random_crop(data, 0, np.random.default_rng(seed), around=1 if rare else None)
    assert image.shape == label.shape == crop
    inner = (slice(min(height, crop[0])), slice(min(width, crop[1])))
    top, left = divmod(int(image[0, 0]), width)
    whole = numbers[top : top + crop[0], left : left + crop[1]]
    np.testing.assert_array_equal(image[inner], whole)
    np.testing.assert_array_equal(label, mask.ravel()[image])  # mirrored labels stay with their pixels
    assert label.any() or not rare


def test_every_place_is_drawn_and_equally_often():
    data = HandMade(np.zeros((1, 6, 7)), [np.arange(42).reshape(6, 7)], crop=(4, 5))
    drawn = [int(random_crop(data, 0, np.random.default_rng(seed))[0][0, 0]) for seed in range(1800)]
    places, times = np.unique(drawn, return_counts=True)
    assert places.tolist() == [row * 7 + column for row in range(3) for column in range(3)]
    assert times.min() > 150


def test_a_label_that_the_image_lacks_is_no_reason_to_fail():
    data = HandMade(np.zeros((1, 6, 7)), crop=(4, 5))
    assert random_crop(data, 0, np.random.default_rng(0), around=2)[0].shape == (4, 5)


def test_whole_images_draw_nothing_and_are_not_copied():
    data, rng = HandMade(np.zeros((2, 3, 4))), np.random.default_rng(0)
    image, mask = random_crop(data, 1, rng, around=1)
    assert np.shares_memory(image, data.images)
    assert np.shares_memory(mask, data.masks)
    assert rng.integers(1000) == np.random.default_rng(0).integers(1000)


def test_a_small_image_is_continued_by_its_mirror_image():
    assert mirror_padded(np.array([[1, 2], [3, 4]]), (3, 5)).tolist() == [
        [1, 2, 2, 1, 1],
        [3, 4, 4, 3, 3],
        [3, 4, 4, 3, 3],
    ]
    assert mirror_padded(np.zeros((2, 3, 4)), (5, 3)).shape == (5, 3, 4)


def test_an_epoch_has_as_many_crops_as_cover_the_images():
    sizes = np.array([[64, 128], [128, 256], [10, 10], [100, 128]])
    assert crops_in(sizes, (64, 128)).tolist() == [1, 4, 1, 2]
