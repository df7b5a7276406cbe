"""Images of several sizes are found as they were stored, and read when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trainables.data.sizes.images import Chosen, ImageList, range_of, sample_within, sizes_of
from trainables.data.sizes.npy_files import NpyWriter, read_images, write_images

shapes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=6)


def listed(images: list[np.ndarray]) -> ImageList:
    sizes = np.array([image.shape[:2] for image in images], np.int64)
    pixels = np.concatenate([image.reshape(-1, *image.shape[2:]) for image in images])
    return ImageList(pixels, sizes)


@given(shapes=shapes, channels=st.sampled_from([(), (2,)]), data=st.data())
def test_what_is_written_is_read(shapes, channels, data, tmp_path_factory):
    images = [data.draw(arrays.arrays(np.uint8, (*shape, *channels))) for shape in shapes]
    path = tmp_path_factory.mktemp("images") / "a.npy"
    write_images(path, listed(images))
    sizes = np.array(shapes, np.int64)
    found = read_images(path, sizes)
    assert isinstance(found, ImageList) == (len(set(shapes)) > 1)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(sizes_of(found), sizes)
    for got in (list(found), [found[index] for index in range(len(found))], list(found[np.arange(len(images))])):
        assert len(got) == len(images)
        for image, expected in zip(got, images, strict=True):
            np.testing.assert_array_equal(image, expected)


def test_images_of_one_size_are_the_file_that_numpy_writes(tmp_path):
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    write_images(tmp_path / "a.npy", images)
    np.save(tmp_path / "b.npy", images)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("several", [True, False])
def test_chosen_images_come_in_the_order_of_their_indices(several):
    images = [np.full((2 + several * (index % 2), 3), index, np.uint8) for index in range(5)]
    chosen = Chosen(listed(images) if several else np.stack(images), np.array([4, 1, 1]))
    assert [int(image[0, 0]) for image in chosen] == [4, 1, 1]
    assert chosen[1][0, 0] == 1
    assert [int(image[0, 0]) for image in chosen[:2]] == [4, 1]
    assert [int(image[0, 0]) for image in chosen[np.array([2, 0])]] == [1, 4]
    assert isinstance(chosen[:2], list if several else np.ndarray)
    assert chosen.sizes.tolist() == [[2, 3], [2 + several, 3], [2 + several, 3]]
    assert chosen.dtype == np.uint8


def test_an_image_beyond_the_last_does_not_exist():
    images = listed([np.zeros((2, 3), np.uint8), np.ones((3, 3), np.uint8)])
    assert images[-1].shape == (3, 3)
    for index in (2, -3):
        with pytest.raises(IndexError):
            images[index]


def test_no_image_is_copied():
    images = listed([np.zeros((2, 3), np.uint8), np.ones((3, 3), np.uint8)])
    assert np.shares_memory(images[1], Chosen(images, np.array([1]))[0])


def test_sizes_in_words():
    assert range_of(np.array([[64, 128]] * 3)) == "64x128"
    assert range_of(np.array([[200, 1600], [1200, 300]])) == "200x300 to 1200x1600"


def test_a_file_that_is_cut_short_is_named(tmp_path):
    full = OSError(28, "No space left on device")
    with pytest.raises(OSError, match=r"No space.*a\.npy") as raised, NpyWriter(tmp_path / "a.npy", "u1", (1,)) as out:
        out._named(lambda: (_ for _ in ()).throw(full))
    assert raised.value.errno == 28


@given(costs=st.lists(st.integers(1, 9), min_size=1, max_size=20), most=st.integers(0, 60))
def test_a_sample_is_within_its_limit_and_as_large_as_it_allows(costs, most):
    indices = np.arange(len(costs)) * 3
    chosen = sample_within(indices, np.array(costs), most)
    of = dict(zip(indices.tolist(), costs, strict=True))
    total = sum(of[index] for index in chosen.tolist())
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert set(chosen.tolist()) <= set(of)
    assert total <= most or len(chosen) == 1
    if sum(costs) <= most:
        assert chosen.tolist() == indices.tolist()
    else:
        assert total + max(costs) > most
    assert chosen.tolist() == sample_within(indices, np.array(costs), most).tolist()
