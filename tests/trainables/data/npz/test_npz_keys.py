"""Shapes, types and names of what an npz file holds."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib

import numpy as np
import pytest

from trainables.data.description import DataDescription
from trainables.data.npz import APART, read_npz

PAIRS = np.ones((3, 2, 4, 5), np.uint8)
NAMES = np.array(["a", "b", "c"])


def read(**arrays: np.ndarray):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return read_npz(buffer, "x.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "has no key 'training_set' (it has none)"),
        ({"train": PAIRS, "test": PAIRS}, "has no key 'training_set' (it has train, test)"),
        (
            {f"{n}.png": PAIRS[0, 0] for n in range(2000)},
            "has no key 'training_set' (it has 0.png, 1.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png and 1,992 more)",
        ),
        ({"training_set": PAIRS[0]}, "training_set has shape (2, 4, 5), must have 4 axes: (N, 2, H, W). " + APART),
        (
            {"training_set": PAIRS[None]},
            "training_set has shape (1, 3, 2, 4, 5), must have 4 axes: (N, 2, H, W). " + APART,
        ),
        (
            {"training_set": PAIRS[:, :1]},
            "training_set has shape (3, 1, 4, 5): its second axis must have size 2: image and mask. " + APART,
        ),
        (
            {"training_set": np.ones((2, 3, 4, 5))},
            "training_set has shape (2, 3, 4, 5): its second axis must have size 2: image and mask. " + APART,
        ),
        ({"training_set": PAIRS[:0]}, "training_set has shape (0, 2, 4, 5): it is empty"),
        ({"training_set": PAIRS[..., :0]}, "training_set has shape (3, 2, 4, 0): it is empty"),
        ({"training_set": PAIRS == 1}, "training_set has type bool, must be integers or floats. " + APART),
        ({"training_set": PAIRS * 1j}, "training_set has type complex128, must be integers or floats. " + APART),
        (
            {"training_set": PAIRS.astype(object)},
            "training_set holds pickled Python objects, which are never loaded: save plain numbers",
        ),
        (
            {"training_set": PAIRS, "test_set": PAIRS},
            "test_set has shape (3, 2, 4, 5), must be (M, 4, 5) like the training images. " + APART,
        ),
        (
            {"training_set": PAIRS, "test_set": np.ones((3, 5, 4))},
            "test_set has shape (3, 5, 4), must be (M, 4, 5) like the training images. " + APART,
        ),
        ({"training_set": PAIRS, "test_set": PAIRS[:0, 0]}, "test_set has shape (0, 4, 5): it is empty, leave it out"),
        (
            {"training_set": PAIRS, "test_set": PAIRS[:, 0] == 1},
            "test_set images have type bool, must be integers or floats",
        ),
        ({"training_set": PAIRS, "ignored_label": 0}, "has ignored_label but no class_names: add class_names"),
        (
            {"training_set": PAIRS, "class_names": NAMES[None]},
            "class_names must be a list of strings, has shape (1, 3) and type <U1",
        ),
        (
            {"training_set": PAIRS, "class_names": np.array([b"a", b"b"])},
            "class_names must be a list of strings, has shape (2,) and type |S1",
        ),
        (
            {"training_set": PAIRS, "class_names": NAMES, "ignored_label": np.array([1])},
            "ignored_label must be a single integer, is array([1])",
        ),
        (
            {"training_set": PAIRS, "class_names": NAMES, "ignored_label": np.array(1.0)},
            "ignored_label must be a single integer, is array(1.)",
        ),
        (
            {"training_set": PAIRS, "class_names": NAMES[:1]},
            "class names ['a']: there must be at least two, all different",
        ),
    ],
)
def test_what_a_file_holds_is_held_to_the_layout(arrays, message):
    with pytest.raises(ValueError) as refused:
        read(**arrays)
    assert str(refused.value) == f"x.npz: {message}"


def test_one_pair_of_one_pixel_and_one_test_image_are_enough():
    raw = read(training_set=PAIRS[:1, :, :1, :1], test_set=PAIRS[:1, 0, :1, :1])
    assert raw.images.shape == raw.masks.shape == raw.unlabelled.shape == (1, 1, 1)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
@pytest.mark.parametrize("label", [0, 2])
def test_an_ignored_label_is_any_whole_number_among_the_classes(label, dtype):
    raw = read(training_set=PAIRS, class_names=NAMES, ignored_label=dtype(label))
    assert raw.description == DataDescription(class_names=("a", "b", "c"), ignored_label=label)
    assert type(raw.description.ignored_label) is int
    assert {type(name) for name in raw.description.class_names} == {str}


def test_image_and_mask_are_the_first_and_the_second_of_a_pair():
    pairs = np.stack([np.full((3, 4, 5), 9), np.full((3, 4, 5), 2)], axis=1)
    pairs[2, :, 3, 4] = 8, 3
    raw = read(training_set=pairs, test_set=pairs[:2, 0] * 3)
    assert (raw.images.max(), raw.images[2, 3, 4]) == (9, 8)
    assert (raw.masks[0, 0, 0], raw.masks[2, 3, 4]) == (2, 3)
    assert raw.unlabelled.shape == (2, 4, 5)
    assert (raw.unlabelled == 27).all()


def archive(method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytearray:
    """A file of 40 pairs of noise, compressed by that method."""
    array, buffer = io.BytesIO(), io.BytesIO()
    np.save(array, np.random.default_rng(0).integers(0, 5, (40, 2, 20, 20)).astype(np.uint8))
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("training_set.npy", array.getvalue())
        file.comment = comment
    return bytearray(buffer.getvalue())


def spoilt(method: int) -> bytes:
    content = archive(method)
    content[400:440] = b"\xff" * 40
    return bytes(content)


def cut_off() -> bytes:
    """What is left of an archive whose middle is gone: its index says more than there is."""
    content = archive(zipfile.ZIP_DEFLATED)
    content[2000 : content.rfind(b"PK\x01\x02")] = b""
    end = content.rfind(b"PK\x05\x06")
    content[end + 16 : end + 20] = (2000).to_bytes(4, "little")  # where the index is
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (spoilt(zipfile.ZIP_STORED), zipfile.BadZipFile),  # the check sum
        (spoilt(zipfile.ZIP_DEFLATED), zlib.error),
        (spoilt(zipfile.ZIP_LZMA), lzma.LZMAError),
        (spoilt(zipfile.ZIP_BZIP2), OSError),
        (cut_off(), EOFError),
    ],
    ids=["stored", "deflated", "lzma", "bzip2", "cut off"],
)
def test_an_archive_whose_content_is_spoilt_is_broken_however_it_is_compressed(content, error):
    with pytest.raises(error), np.load(io.BytesIO(content)) as opened:
        _ = opened["training_set"]
    with pytest.raises(ValueError, match=r"^x\.npz: broken npz file \(.*\): fetch or save it again$"):
        read_npz(io.BytesIO(content), "x.npz")


@pytest.mark.parametrize("comment", [b"", b"made by hand"])
def test_an_archive_is_read_from_its_beginning(comment):
    stream = io.BytesIO(archive(comment=comment))
    stream.seek(7)
    assert read_npz(stream, "x.npz").masks.shape == (40, 20, 20)
