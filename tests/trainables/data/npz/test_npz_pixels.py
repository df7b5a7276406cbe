"""Which pixels and labels the reader takes, and the first wrong one that it names."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.made.competition import MARS_KEYS
from trainables.data.npz import APART, RawData, read_npz

SIZE = (3, 4, 5)


def read(images: np.ndarray, masks: np.ndarray, **others: np.ndarray) -> RawData:
    """With the competition's classes if the file is given no names."""
    buffer = io.BytesIO()
    keys = others if "class_names" in others else MARS_KEYS | others
    np.savez(buffer, training_set=np.stack([images, masks], axis=1), **keys)
    return read_npz(buffer, "x.npz")


@pytest.fixture
def images() -> np.ndarray:
    return np.full(SIZE, 7.0)


@pytest.fixture
def masks() -> np.ndarray:
    return np.ones(SIZE)


def refusal(*arrays: np.ndarray, **others: np.ndarray) -> str:
    with pytest.raises(ValueError) as refused:
        read(*arrays, **others)
    return str(refused.value)


def spoil(array: np.ndarray, value: float) -> np.ndarray:
    """That value in two places, the first of which is to be named."""
    array = array.copy()
    array[1, 2, 3] = array[2, 0, 1] = value
    return array


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (5, "5"), (1.5, "1.5"), (np.nan, "nan"), (260, "260")])
def test_a_label_that_is_none_is_named_with_its_place(value, shown, images, masks):
    assert refusal(images, spoil(masks, value)) == (
        f"x.npz: training_set mask 1 holds {shown} at row 2, column 3: labels are whole numbers from 0 to 4"
    )


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (5, "5"), (256, "256")])
def test_whole_numbers_are_held_to_the_same_labels(value, shown, images, masks):
    assert refusal(images.astype(np.int64), spoil(masks, value).astype(np.int64)) == (
        f"x.npz: training_set mask 1 holds {shown} at row 2, column 3: labels are whole numbers from 0 to 4"
    )


def test_the_lowest_and_the_highest_label_are_labels(images, masks):
    masks[0, 0, :2] = 0, 4
    raw = read(images, masks)
    assert raw.masks.dtype == np.uint8
    assert np.array_equal(raw.masks, masks)


def test_the_labels_end_with_the_files_own_classes(images, masks):
    names = np.array(["a", "b", "c"])
    assert read(images, spoil(masks, 2), class_names=names).masks.max() == 2
    assert "labels are whole numbers from 0 to 2" in refusal(images, spoil(masks, 3), class_names=names)


def test_some_pixel_must_be_labelled(images, masks):
    names = np.array(["a", "b", "c"])
    assert refusal(images, 0 * masks) == "x.npz: no mask holds a labelled pixel: all pixels are 0"
    assert (
        refusal(images, 2 * masks, class_names=names, ignored_label=np.uint8(2))
        == "x.npz: no mask holds a labelled pixel: all pixels are 2"
    )
    one = 0 * masks
    one[2, 3, 4] = 1
    assert read(images, one).masks.sum() == 1
    assert read(images, 0 * masks, class_names=names).masks.max() == 0  # where nothing is ignored all are labelled


@pytest.mark.parametrize(
    ("value", "shown", "rule"),
    [
        (np.nan, "nan", "pixels must be finite"),
        (np.inf, "inf", "pixels must be finite"),
        (-1, "-1", "pixels are in 0 to 255, or floats in 0 to 1. " + APART),
        (-0.5, "-0.5", "pixels are in 0 to 255, or floats in 0 to 1. " + APART),
        (256, "256", "pixels are in 0 to 255, or floats in 0 to 1. " + APART),
        (255.5, "255.5", "pixels are in 0 to 255, or floats in 0 to 1. " + APART),
        (6.5, "6.5", "pixels in 0 to 255 must be whole numbers; scale other floats to 0 to 1"),
    ],
)
def test_a_pixel_that_is_none_is_named_with_its_place(value, shown, rule, images, masks):
    place = f"image 1 holds {shown} at row 2, column 3: {rule}"
    assert refusal(spoil(images, value), masks) == f"x.npz: training_set {place}"
    assert refusal(images, masks, test_set=spoil(images, value)) == f"x.npz: test_set {place}"


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (256, "256")])
def test_whole_numbers_are_held_to_the_same_pixels(value, shown, images, masks):
    whole, labels = spoil(images, value).astype(np.int16), masks.astype(np.int16)
    assert refusal(whole, labels) == (
        f"x.npz: training_set image 1 holds {shown} at row 2, column 3: pixels are in 0 to 255, or floats in 0 to 1. "
        + APART
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_black_and_white_are_pixels(dtype, images, masks):
    images[0, 0, :2] = 0, 255
    raw = read(images.astype(dtype), masks.astype(dtype))
    assert raw.images.dtype == np.uint8
    assert np.array_equal(raw.images, images)


def test_floats_with_a_maximum_of_one_are_on_the_scale_of_0_to_1(images, masks):
    fractions = spoil(images / 14, 1.0)
    raw = read(fractions, masks, test_set=fractions[:2] / 2)
    assert (raw.images.dtype, raw.unlabelled.dtype) == (np.float32, np.float32)
    assert (raw.images[1, 2, 3], raw.images[0, 0, 0], raw.unlabelled[1, 2, 3]) == (1, 0.5, 0.5)


def test_floats_just_above_one_are_not(images, masks):
    assert refusal(spoil(images / 14, 1.25), masks) == (
        "x.npz: training_set image 0 holds 0.5 at row 0, column 0: "
        "pixels in 0 to 255 must be whole numbers; scale other floats to 0 to 1"
    )


def test_whole_numbers_up_to_one_are_dark_and_not_on_the_scale_of_0_to_1(images, masks):
    dark = np.ones(SIZE, np.uint8)
    raw = read(dark, masks.astype(np.uint8), test_set=dark[:1])
    assert (raw.images.dtype, raw.unlabelled.dtype, raw.images.max()) == (np.uint8, np.uint8, 1)
    raw = read(dark.astype(float), masks)
    assert (raw.images.dtype, raw.images.max()) == (np.float32, 1)


def test_training_and_test_images_are_on_one_scale(images, masks):
    rule = "pixels in 0 to 255 must be whole numbers; scale other floats to 0 to 1"
    fractions, levels = images / 14, np.full(SIZE, 200, np.uint8)
    wrong = "image 0 holds 0.5 at row 0, column 0"
    assert refusal(fractions, masks, test_set=levels) == f"x.npz: training_set {wrong}: {rule}"
    assert refusal(fractions, masks, test_set=levels.astype(float)) == f"x.npz: training_set {wrong}: {rule}"
    assert refusal(images, masks, test_set=fractions) == f"x.npz: test_set {wrong}: {rule}"
    # Black and white alone could be on either scale: the test images decide.
    raw = read(images // 7, masks, test_set=levels)
    assert (raw.images.dtype, raw.images.max(), raw.unlabelled.max()) == (np.uint8, 1, 200)
