from __future__ import annotations

import numpy as np
import pytest

from trainables.data.cleaning.unusable_pairs import unusable_pairs
from trainables.data.description import MARS


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 5, (40, 6, 8)).astype(np.uint8)
    images = rng.integers(80, 120, masks.shape).astype(np.uint8)
    return images, masks


def reasons(images, masks):
    return {
        ("masks" if "mask" in found.reason else "mean"): found.indices for found in unusable_pairs(images, masks, MARS)
    }


def test_clean_pairs_are_kept(pairs):
    assert reasons(*pairs) == {}


@pytest.mark.parametrize(("shared_by", "dropped"), [(2, False), (3, True), (10, True)])
def test_a_mask_of_several_classes_that_three_share_is_dropped(shared_by, dropped, pairs):
    images, masks = pairs
    where = np.arange(shared_by) * 3
    masks[where] = masks[0]
    assert reasons(images, masks) == ({"masks": tuple(where)} if dropped else {})


def test_masks_of_one_class_repeat_legitimately(pairs):
    """Also where part of the image is unlabelled."""
    images, masks = pairs
    masks[:10] = 2
    masks[10:20] = 2
    masks[10:20, :3] = MARS.ignored_label
    assert reasons(images, masks) == {}


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_another_brightness_is_dropped(value, pairs):
    images, masks = pairs
    images[7] = value
    assert reasons(images, masks) == {"mean": (7,)}
    assert reasons((images / 255).astype(np.float32), masks) == {"mean": (7,)}


def test_images_of_one_brightness_do_not_make_rounding_an_outlier(pairs):
    images, masks = pairs
    images[:] = 100
    images[3] = 101
    assert reasons(images, masks) == {}
