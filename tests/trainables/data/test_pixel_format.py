"""From pixels of a source to stored pixels, and from these to the input of a network and to pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.data.pixel_format import PixelFormat, plain_format

CPU = torch.device("cpu")
TWO = PixelFormat(dtype="float32", low=(10.0, -1.0), high=(30.0, 1.0), mean=(0.25, 0.5), std=(0.5, 2.0))


def test_pixels_of_a_source_are_scaled_by_channel_and_clipped() -> None:
    image = np.array([[[10, -1], [20, 0], [30, 1], [50, -9]]], np.float64)
    stored = TWO.stored(image)
    assert stored.dtype == np.float32
    assert stored.tolist() == [[[0, 0], [0.5, 0.5], [1, 1], [1, 0]]]


def test_pixels_of_8_bits_stay() -> None:
    image = np.array([[0, 7, 255]], np.uint8)
    assert plain_format(image.dtype).stored(image) is image
    assert plain_format(image.dtype).stored(image.astype(np.int64) + 1).tolist() == [[1, 8, 255]]
    floats = np.array([[0, 0.25, 1]], np.float32)
    assert plain_format(floats.dtype).stored(floats).tolist() == [[0, 0.25, 1]]


def test_the_input_of_a_network_is_centred_and_scaled_by_channel() -> None:
    stored = np.array([[[[0.25, 0.5], [1, 0.5]]]], np.float32)
    found = TWO.to_device(stored, CPU)
    assert found.shape == (1, 2, 1, 2)
    assert found.tolist() == [[[[0.0, 1.5]], [[0.0, 0.0]]]]
    assert stored.tolist() == [[[[0.25, 0.5], [1, 0.5]]]]


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (13, [0, 1, 2])])
def test_pictures_show_the_first_three_channels_or_the_first_as_grey(channels: int, shown: list[int]) -> None:
    ones = (1.0,) * channels
    pixels = PixelFormat(dtype="uint8", low=ones, high=ones, mean=ones, std=ones)
    images = np.tile(np.arange(channels, dtype=np.uint8), (2, 4, 5, 1))
    pictures = pixels.pictures(images[..., 0] if channels == 1 else images)
    assert (pictures.shape, pictures.dtype) == ((2, 4, 5, 3), np.uint8)
    assert pictures[1, 3, 4].tolist() == shown


def test_pictures_of_floats_are_scaled() -> None:
    assert TWO.pictures(np.full((1, 1, 1, 2), 0.5, np.float32)).tolist() == [[[[127, 127, 127]]]]
