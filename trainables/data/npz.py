"""Reads and checks an npz file in the competition's layout.

`training_set` (N, 2, H, W): image, then mask. Optional `test_set` (M, H, W): images without masks. Optional
`class_names` (C,) strings and `ignored_label` (an integer) describe the labels; without `class_names` the masks do, see
`described_by`.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from trainables.data.description import MOST_CLASSES, DataDescription, described_by

BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""Errors of a damaged archive. RuntimeError: an unsupported compression method, or an encrypted member."""


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A data set as read from its file: checked, and in the smallest dtype that stores it exactly."""

    description: DataDescription
    named: bool = True
    """False if its classes are called by their labels, because it has no names for them."""
    images: np.ndarray
    """(N, H, W) uint8, or float32 in [0, 1]."""
    masks: np.ndarray
    """(N, H, W) uint8."""
    unlabelled: np.ndarray | None
    """(M, H, W) in the dtype of the images; None if there is no test set."""


def read_npz(stream: BinaryIO, name: str) -> RawData:
    """Read and check a data set.

    Args:
        stream: the content of the file, seekable.
        name: the name of the file, for error messages.

    Raises:
        ValueError: if the file is not a valid data set. The message names the file, the rule and, for a wrong pixel,
            its index and value.
    """
    stream.seek(0)
    if stream.read(2) != b"PK" or not zipfile.is_zipfile(stream):
        raise ValueError(f"{name}: not an npz file (it is not a zip archive)")
    stream.seek(0)
    try:
        with np.load(stream, allow_pickle=False) as archive:
            if "training_set" not in archive:
                raise ValueError(f"{name}: has no key 'training_set' (it has {', '.join(archive) or 'none'})")
            training = _read(archive, "training_set", name)
            given = _describe(archive, name)
            _check_training_shape(training, name)
            images, masks = training[:, 0], _labels(training[:, 1], given, name)
            test = None
            if "test_set" in archive:
                test = _read(archive, "test_set", name)
                if test.ndim != 3 or test.shape[1:] != images.shape[1:]:
                    raise ValueError(
                        f"{name}: test_set has shape {test.shape}, must be (M, {images.shape[1]}, {images.shape[2]}) "
                        "like the training images"
                    )
                if not len(test):
                    raise ValueError(f"{name}: test_set has shape {test.shape}: it is empty, leave it out")
    except BROKEN as error:
        raise ValueError(f"{name}: broken npz file ({error})") from error
    description = given or _described_by(masks, name)
    stored, stored_test = _pixels(images, test, name)
    named = given is not None or description.of_competition
    return RawData(description=description, named=named, images=stored, masks=masks, unlabelled=stored_test)


def _read(archive: np.lib.npyio.NpzFile, key: str, name: str) -> np.ndarray:
    try:
        array = archive[key]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{name}: {key} holds pickled Python objects, which are never loaded: save plain numbers"
            ) from None
        raise ValueError(f"{name}: {key} cannot be read ({error})") from error
    except MemoryError as error:
        raise ValueError(f"{name}: {key} does not fit into memory ({error})") from error
    except BROKEN:
        raise
    except Exception as error:  # Python's parser raises various errors for an invalid header
        raise ValueError(f"{name}: {key} cannot be read ({error})") from error
    if not isinstance(array, np.ndarray):  # NumPy returns members that are not arrays as bytes
        raise ValueError(f"{name}: {key} is not a NumPy array")
    return array


def _describe(archive: np.lib.npyio.NpzFile, name: str) -> DataDescription | None:
    """Return what the file says of its labels; None if it has no class names."""
    if "class_names" not in archive:
        if "ignored_label" in archive:
            raise ValueError(f"{name}: has ignored_label but no class_names: add class_names")
        return None
    names = _read(archive, "class_names", name)
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(
            f"{name}: class_names must be a list of strings, has shape {names.shape} and type {names.dtype}"
        )
    ignored = None
    if "ignored_label" in archive:
        value = _read(archive, "ignored_label", name)
        if value.shape != () or value.dtype.kind not in "iu":
            raise ValueError(f"{name}: ignored_label must be a single integer, is {value!r}")
        ignored = int(value)
    try:
        return DataDescription(class_names=tuple(map(str, names)), ignored_label=ignored)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _described_by(masks: np.ndarray, name: str) -> DataDescription:
    try:
        return described_by(masks)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_training_shape(training: np.ndarray, name: str) -> None:
    if training.ndim != 4:
        raise ValueError(f"{name}: training_set has shape {training.shape}, must have 4 axes: (N, 2, H, W)")
    if training.shape[1] != 2:
        raise ValueError(
            f"{name}: training_set has shape {training.shape}: its second axis must have size 2: image and mask"
        )
    if 0 in training.shape:
        raise ValueError(f"{name}: training_set has shape {training.shape}: it is empty")
    if training.dtype.kind not in "uif":
        raise ValueError(f"{name}: training_set has type {training.dtype}, must be integers or floats")


def _refuse(wrong_nhw: np.ndarray, pixels_nhw: np.ndarray, what: str, rule: str) -> None:
    """Raise a ValueError for the first wrong pixel, if there is one. `wrong_nhw` is (N, H, W) bool."""
    if wrong_nhw.any():
        n, row, column = (int(i) for i in np.unravel_index(int(wrong_nhw.argmax()), wrong_nhw.shape))
        value = pixels_nhw[n, row, column]
        raise ValueError(f"{what} {n} holds {value:g} at row {row}, column {column}: {rule}")


def _labels(masks: np.ndarray, description: DataDescription | None, name: str) -> np.ndarray:
    top = (description.num_classes if description is not None else MOST_CLASSES) - 1
    wrong = (masks < 0) | (masks > top)
    if masks.dtype.kind == "f":
        wrong |= masks != np.floor(masks)  # NaN too
    _refuse(wrong, masks, f"{name}: training_set mask", f"labels are whole numbers from 0 to {top}")
    labels = masks.astype(np.uint8)
    ignored = None if description is None else description.ignored_label
    if ignored is not None and not (labels != ignored).any():
        raise ValueError(f"{name}: no mask holds a labelled pixel: all pixels are {ignored}")
    return labels


def _pixels(images: np.ndarray, test: np.ndarray | None, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    parts = {"training_set image": images} | ({} if test is None else {"test_set image": test})
    for part, pixels in parts.items():
        what = f"{name}: {part}"
        if pixels.dtype.kind not in "uif":
            raise ValueError(f"{what}s have type {pixels.dtype}, must be integers or floats")
        if pixels.dtype.kind == "f":
            _refuse(~np.isfinite(pixels), pixels, what, "pixels must be finite")
        _refuse((pixels < 0) | (pixels > 255), pixels, what, "pixels are in 0 to 255, or floats in 0 to 1")
    if all(pixels.dtype.kind == "f" and pixels.max(initial=0) <= 1 for pixels in parts.values()):
        return images.astype(np.float32), None if test is None else test.astype(np.float32)
    for part, pixels in parts.items():
        rule = "pixels in 0 to 255 must be whole numbers; scale other floats to 0 to 1"
        _refuse(pixels != np.floor(pixels), pixels, f"{name}: {part}", rule)
    return images.astype(np.uint8), None if test is None else test.astype(np.uint8)
