"""What the reader accepts; `test_npz_keys` and `test_npz_pixels` hold what it refuses, to the letter."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from tests.made.competition import MARS_KEYS
from trainables.data.description import MARS
from trainables.data.npz import read_npz

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 10))
MASKS = RNG.integers(0, 5, (6, 8, 10))


def read(ignored=None, **arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return read_npz(buffer, "x.npz", ignored=ignored)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_integers_and_integral_floats_become_bytes(dtype):
    raw = read(training_set=np.stack([IMAGES, MASKS], axis=1).astype(dtype), test_set=IMAGES[:2].astype(dtype))
    assert (raw.images.dtype, raw.masks.dtype, raw.unlabelled.dtype) == (np.uint8,) * 3
    assert np.array_equal(raw.images, IMAGES)
    assert np.array_equal(raw.masks, MASKS)
    assert np.array_equal(raw.unlabelled, IMAGES[:2])
    assert raw.description.class_names == ("0", "1", "2", "3", "4")
    assert not raw.named


def test_floats_up_to_one_stay_floats():
    raw = read(training_set=np.stack([IMAGES / 255, MASKS], axis=1))
    assert raw.images.dtype == np.float32
    assert np.allclose(raw.images, IMAGES / 255)
    assert raw.unlabelled is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training_set": np.stack([IMAGES // 2 + 0.5, MASKS], axis=1)},
            "image 0 holds .*5 at row 0, column 0: .* whole numbers",
        ),
        ({"training_set": np.stack([IMAGES - 300, MASKS], axis=1)}, "pixels are in 0 to 255, or floats in 0 to 1"),
        ({"test_set": np.full((1, 8, 10), np.inf)}, "test_set image 0 holds inf at row 0, column 0"),
        ({"test_set": np.full((1, 8, 10), "x")}, "test_set images have type <U1"),
        ({"training_set": np.full((1, 2, 8, 10), "x")}, "training_set has type <U1"),
        ({"test_set": np.zeros((0, 8, 10))}, "test_set has shape .0, 8, 10.: it is empty"),
        ({"ignored_label": 3}, "has ignored_label but no class_names"),
        ({"class_names": np.arange(257).astype(str)}, "257 class names: there must be at most 256"),
        ({"class_names": np.array([1, 2])}, "class_names must be a list of strings"),
        ({"class_names": np.array(["a", "a"])}, r"class names \['a', 'a'\]: there must be at least two, all different"),
        ({"class_names": np.array(list("abcde")), "ignored_label": 0.5}, "ignored_label must be a single integer"),
        ({"class_names": np.array(list("abc"))}, "labels are whole numbers from 0 to 2"),
    ],
)
def test_what_breaks_a_rule_is_named(changes, message):
    with pytest.raises(ValueError, match=f"x.npz: .*{message}|x.npz: {message}"):
        read(**{"training_set": np.stack([IMAGES, MASKS], axis=1)} | changes)


def test_a_file_may_describe_its_own_classes():
    pairs = np.stack([IMAGES, MASKS], axis=1)
    raw = read(training_set=pairs, class_names=np.array(list("vwxyz")), ignored_label=4)
    assert raw.description.class_names == tuple("vwxyz")
    assert raw.description.ignored_label == 4
    assert raw.description.scored_labels == (0, 1, 2, 3)
    every = read(training_set=pairs, class_names=np.array(list("vwxyz"))).description
    assert every.ignored_label is None
    assert every.scored_labels == (0, 1, 2, 3, 4)


def described(size: tuple[int, int], *labels: int):
    """What is read of a file without names whose masks hold these labels."""
    masks = np.zeros((len(labels), *size), np.uint8)
    masks += np.uint8(labels)[:, None, None]
    return read(training_set=np.stack([masks, masks], axis=1))


def test_a_file_without_names_is_the_competition_s_if_it_looks_like_it():
    raw = described((64, 128), 0, 1, 2, 3, 4)
    assert raw.description == MARS
    assert raw.description.of_competition
    assert raw.named


@pytest.mark.parametrize(
    ("size", "labels", "classes"),
    [
        ((128, 64), range(5), 5),
        ((64, 64), range(5), 5),
        ((32, 64), range(5), 5),
        ((64, 128), (1, 2, 3, 4), 5),
        ((64, 128), (0, 1, 3, 4), 5),
        ((64, 128), range(4), 4),
        ((64, 128), range(6), 6),
        ((64, 128), (0, 1), 2),
        ((4, 4), (1,), 2),
        ((4, 4), (0, 3), 4),
        ((4, 4), range(256), 256),
    ],
)
def test_of_other_files_without_names_each_label_is_a_class(size, labels, classes):
    raw = described(size, *labels)
    assert raw.description.class_names == tuple(map(str, range(classes)))
    assert raw.description.ignored_label is None
    assert not raw.description.of_competition
    assert not raw.named


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((0,), "all pixels of the masks have the label 0: there must be at least two classes"),
        (
            (0, 254),
            "its masks hold 2 of the labels 0 to 254 (0, 254) and it has no class_names: number the labels 0, 1, 2, "
            "..., or add class_names with a name for each label",
        ),
        ((0, 4), "its masks hold 2 of the labels 0 to 4 (0, 4) and it has no class_names"),
        (range(0, 255, 3), "its masks hold 85 of the labels 0 to 252 (0, 3, 6, 9, 12, 15, 18, 21, 24, 27, ...)"),
    ],
)
def test_labels_that_are_codes_need_names(labels, message):
    with pytest.raises(ValueError) as refused:
        described((4, 4), *labels)
    assert str(refused.value).startswith(f"x.npz: {message}")


def test_the_competition_s_names_make_data_of_any_size_the_competition_s():
    raw = read(training_set=np.stack([IMAGES, MASKS], axis=1), **MARS_KEYS)
    assert raw.description.of_competition
    other = MARS_KEYS | {"ignored_label": np.array(1)}
    assert not read(training_set=np.stack([IMAGES, MASKS], axis=1), **other).description.of_competition


def archive(member, content, flags=0, method=0):
    """A zip archive of one stored member, with the given flags and compression method written over it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(member, content)
    written = bytearray(buffer.getvalue())
    for header, offset in ((0, 6), (written.rfind(b"PK\x01\x02"), 8)):
        written[header + offset] |= flags
        written[header + offset + 2] = method
    return bytes(written)


def array_file(shape):
    """An array's header, and none of its content."""
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an npz file"),
        (b"PK\x03\x04 and so on", "not an npz file"),
        (b"#!/bin/sh\n" + archive("training_set.npy", array_file((9, 2, 8, 10))), "not an npz file"),
        (archive("other.npy", array_file((1,))), r"has no key 'training_set' \(it has other\)"),
        (archive("training_set.npy", b"plain text"), "training_set is not a NumPy array"),
        (archive("training_set.npy", array_file((9, 2, 8, 10))), "training_set cannot be read"),
        (archive("training_set.npy", array_file((10**9, 2, 10**4, 10**4))), "training_set does not fit into memory"),
        (archive("training_set.npy", array_file((9, 2, 8, 10)), flags=1), "broken npz file .*encrypted"),
        (archive("training_set.npy", array_file((9, 2, 8, 10)), method=99), "broken npz file .*compression method"),
    ],
    ids=["empty", "cut off", "prefixed", "other key", "text", "header alone", "huge", "encrypted", "method"],
)
def test_a_damaged_archive_is_refused(content, message):
    with pytest.raises(ValueError, match=rf"x\.npz: {message}"):
        read_npz(io.BytesIO(content), "x.npz")


def test_a_scrambled_file_is_refused():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, training_set=np.stack([IMAGES, MASKS], axis=1))
    content = bytearray(buffer.getvalue())
    content[60:200] = bytes(140)
    with pytest.raises(ValueError, match=r"x\.npz: "):
        read_npz(io.BytesIO(bytes(content)), "x.npz")


@pytest.mark.parametrize("value", [255, -1, 7])
def test_unlabelled_pixels_may_have_a_value_of_their_own(value):
    masks = MASKS.astype(np.int16)
    masks[0, 0, :2] = value
    raw = read(training_set=np.stack([IMAGES, masks], axis=1), class_names=np.array(list("vwxyz")), ignored_label=value)
    assert raw.description.class_names == (*"vwxyz", "unlabelled")
    assert (raw.description.ignored_label, raw.description.mask_values) == (5, (0, 1, 2, 3, 4, value))
    np.testing.assert_array_equal(raw.masks, np.where(masks == value, 5, masks))
    masks[1, 2, 3] = 9
    with pytest.raises(ValueError, match=f"labels are whole numbers from 0 to 4, or {value}"):
        read(training_set=np.stack([IMAGES, masks], axis=1), class_names=np.array(list("vwxyz")), ignored_label=value)


def test_of_masks_without_names_255_is_unlabelled_beside_two_others():
    masks = MASKS % 3
    masks[0, 0, 0] = 255
    raw = read(training_set=np.stack([IMAGES, masks], axis=1))
    assert raw.description.class_names == ("0", "1", "2", "unlabelled")
    assert raw.description.ignored_label == 3
    assert "255 is taken for unlabelled pixels" in raw.announcements[0]
    assert (raw.masks[0, 0, 0], raw.masks.max()) == (3, 3)


def test_the_user_says_what_is_ignored():
    raw = read(ignored=2, training_set=np.stack([IMAGES, MASKS], axis=1))
    assert raw.description.class_names == ("0", "1", "2", "3", "4")
    assert raw.description.ignored_label == 2


def test_two_named_classes_may_have_the_values_0_and_255():
    masks = 255 * (MASKS > 2)
    raw = read(training_set=np.stack([IMAGES, masks], axis=1), class_names=np.array(["rest", "rock"]))
    assert raw.description.mask_values == (0, 255)
    np.testing.assert_array_equal(raw.masks, MASKS > 2)
