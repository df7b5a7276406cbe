"""Tiles cover every pixel, their averages are those of the pixels, and mirrored edges are cut off again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.pixel_format import plain_format
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.prediction.tiling import Tiling, blended, starts

sizes = st.integers(1, 90)
overlaps = st.floats(0, 0.99)


@given(length=sizes, tile=sizes, overlap=overlaps)
def test_tiles_lie_inside_cover_everything_and_overlap_as_much_as_asked(length, tile, overlap):
    found = starts(length, tile, overlap)
    assert found[0] == 0
    assert found == sorted(set(found))
    assert found[-1] == max(0, length - tile)
    steps = np.diff(found)
    assert (steps <= max(1, tile * (1 - overlap)) + 0.5).all()
    assert (steps <= tile).all()


@given(height=sizes, width=sizes, overlap=st.floats(0, 0.9), batch=st.integers(1, 5), channels=st.sampled_from([1, 3]))
def test_what_depends_on_a_pixel_alone_is_the_same_in_tiles_and_whole(height, width, overlap, batch, channels):
    image = np.random.default_rng(0).random((height, width, channels)[: 2 if channels == 1 else 3]).astype(np.float32)

    def predict(tiles):
        assert len(tiles) <= batch
        assert tiles.shape[1:3] == (16, 24)
        tiles = torch.from_numpy(tiles)
        return tiles[:, None] if channels == 1 else tiles.movedim(-1, 1)

    found = blended(predict, image, Tiling(height=16, width=24, overlap=overlap), batch=batch)
    expected = image[None] if channels == 1 else np.moveaxis(image, -1, 0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_middle_of_a_tile_weighs_most_and_its_corners_least():
    weights = Tiling(height=4, width=6).weights()
    assert weights.shape == (4, 6)
    assert weights.max() == 1 == weights[1, 2] == weights[2, 3]
    assert weights.min() == weights[0, 0] == weights[-1, -1] == pytest.approx(1 / 6)


def test_one_pixel_that_two_tiles_see_gets_the_mean_by_their_weights():
    tiling = Tiling(height=1, width=3, overlap=0.3)  # weights 1/2, 1, 1/2
    values = iter([1.0, 4.0])

    def predict(tiles):
        return torch.full((1, 1, *tiles.shape[1:]), next(values))

    found = blended(predict, np.zeros((1, 5), np.uint8), tiling, batch=1)
    assert found.ravel().tolist() == [1, 1, 2.5, 4, 4]


def test_images_of_different_sizes_are_predicted_one_by_one_with_flips():
    model = torch.nn.Conv2d(1, 3, 1)
    predictor = Predictor(
        models=[model],
        pixels=plain_format(np.dtype(np.uint8)),
        device=torch.device("cpu"),
        bf16=False,
        suppressed=0,
        flips=FLIPS,
    )
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, size, np.uint8) for size in ((40, 50), (9, 70), (16, 16))]
    tiled = Predictor(**{**vars(predictor), "tiling": Tiling(height=16, width=16)})
    found = list(tiled.labels(images))
    assert [labels.shape for labels in found] == [(1, *image.shape) for image in images]
    for image, labels in zip(images, found, strict=True):
        np.testing.assert_array_equal(labels, next(predictor.labels(image[None])))
