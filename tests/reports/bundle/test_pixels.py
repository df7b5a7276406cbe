"""Images of any kind become the pixels that a model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports.bundle.pixels import stored_pixels
from trainables.data.pixel_format import PixelFormat


def pixel_format(channels, dtype="uint8", low=0.0, high=None):
    high = (255.0 if dtype == "uint8" else 1.0) if high is None else high
    return PixelFormat(
        dtype=dtype, low=(low,) * channels, high=(high,) * channels, mean=(0.0,) * channels, std=(1.0,) * channels
    )


GREY = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("given", [GREY, GREY[..., None], GREY[None], GREY / 255, GREY.astype(np.uint16) * 257])
def test_grey_images_of_several_kinds_are_the_same(given):
    np.testing.assert_array_equal(stored_pixels(given, pixel_format(1)), GREY)
    np.testing.assert_array_equal(stored_pixels(given, pixel_format(3)), np.repeat(GREY[..., None], 3, axis=-1))


@pytest.mark.parametrize(
    "given", [RGB, np.moveaxis(RGB, -1, 0), np.dstack([RGB, GREY]), RGB / 255, Image.fromarray(RGB), RGB.astype(int)]
)
def test_colour_images_of_several_kinds_are_the_same(given):
    np.testing.assert_array_equal(stored_pixels(given, pixel_format(3)), RGB)


def test_colours_become_grey_as_in_pillow():
    grey = np.asarray(Image.fromarray(RGB).convert("L"))
    assert np.abs(stored_pixels(RGB, pixel_format(1)).astype(int) - grey).max() <= 1
    with_alpha = np.dstack([GREY, RGB[..., 0]])
    np.testing.assert_array_equal(stored_pixels(with_alpha, pixel_format(1)), GREY)


def test_integers_become_floats_where_those_were_trained_on():
    expected = (GREY / 255).astype(np.float32)
    for given in (GREY, GREY.astype(np.uint16) * 257, GREY / 255):
        np.testing.assert_allclose(stored_pixels(given, pixel_format(1, "float32")), expected, atol=1e-6)


def test_values_of_another_range_are_scaled_as_in_training():
    found = stored_pixels(np.array([[100, 300], [500, 9000]]), pixel_format(1, "float32", low=100.0, high=500.0))
    assert found.tolist() == [[0.0, 0.5], [1.0, 1.0]]


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    for name in (path, str(path)):
        np.testing.assert_array_equal(stored_pixels(name, pixel_format(3)), RGB)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((5, 6, 7)), "has 7 channels, the model takes 3"),
        (np.zeros((0, 3)), r"has shape \(0, 3\)"),
        (np.zeros(3), r"has shape \(3,\)"),
        (np.array([["a"]]), "has type"),
        (np.array([[np.nan]]), "must be finite"),
        ("nowhere.png", "nowhere.png: cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        stored_pixels(given, pixel_format(3))


def test_a_model_of_many_channels_takes_only_those():
    image = np.zeros((4, 5, 13), np.uint8)
    assert stored_pixels(image, pixel_format(13)).shape == (4, 5, 13)
    assert stored_pixels(np.moveaxis(image, -1, 0), pixel_format(13)).shape == (4, 5, 13)
    with pytest.raises(ValueError, match="has 1 channel, the model takes 13"):
        stored_pixels(GREY, pixel_format(13))
