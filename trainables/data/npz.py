"""Reads and checks an npz file in the competition's layout.

`training_set` (N, 2, H, W): image, then mask. Optional `test_set` (M, H, W): images without masks. Optional
Optional `groups` (N,): equal strings or whole numbers for images that belong together. Optional
`class_names` (C,) strings and `ignored_label` (an integer) describe the labels; without `class_names` the masks do, see
`described_by`.
"""

from __future__ import annotations

import dataclasses
import lzma
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from trainables.data.description import MOST_CLASSES, DataDescription, described_by
from trainables.data.pixel_format import plain_format
from trainables.data.raw_data import RawData
from trainables.data.readers.classes import (
    UNLABELLED_NAME,
    UNLABELLED_VALUE,
    MaskValues,
    checked_ignored,
    checked_names,
    mask_values,
)
from trainables.data.readers.npz_arrays import checked_groups
from trainables.errors import listed

APART = "For any other layout or range of values save the arrays images, masks and test_images (docs/sources/arrays.md)"
"""What to do with data that the competition's layout cannot hold."""
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""Errors of a damaged archive. RuntimeError: an unsupported compression method, or an encrypted member."""


def read_npz(stream: BinaryIO, name: str, *, ignored: int | None = None) -> RawData:
    """Read and check a data set.

    Args:
        stream: the content of the file, seekable.
        name: the name of the file, for error messages.
        ignored: value of unlabelled pixels in the masks; None: as the file says.

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
                raise ValueError(f"{name}: has no key 'training_set' (it has {listed(archive) or 'none'})")
            training = _read(archive, "training_set", name)
            given = _describe(archive, name, ignored)
            _check_training_shape(training, name)
            images = training[:, 0]
            groups = None
            if "groups" in archive:
                groups = tuple(checked_groups(_read(archive, "groups", name), len(images), name))
            masks, classes = _labels(training[:, 1], given, name, ignored)
            test = None
            if "test_set" in archive:
                test = _read(archive, "test_set", name)
                if test.ndim != 3 or test.shape[1:] != images.shape[1:]:
                    raise ValueError(
                        f"{name}: test_set has shape {test.shape}, must be (M, {images.shape[1]}, {images.shape[2]}) "
                        f"like the training images. {APART}"
                    )
                if not len(test):
                    raise ValueError(f"{name}: test_set has shape {test.shape}: it is empty, leave it out")
    except BROKEN as error:
        raise ValueError(f"{name}: broken npz file ({error}): fetch or save it again") from error
    stored, stored_test = _pixels(images, test, name)
    return RawData(
        description=classes.description,
        named=given is not None or classes.description.ignored_label is not None,
        images=stored,
        masks=masks,
        unlabelled=stored_test,
        pixels=plain_format(stored.dtype),
        groups=groups,
        announcements=() if classes.announcement is None else (classes.announcement,),
    )


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


def _describe(archive: np.lib.npyio.NpzFile, name: str, ignored: int | None) -> DataDescription | None:
    """Return what the file says of its labels; None if it has no class names."""
    if "class_names" not in archive:
        if "ignored_label" in archive:
            raise ValueError(f"{name}: has ignored_label but no class_names: add class_names")
        return None
    declared = checked_names(_read(archive, "class_names", name), name)
    if "ignored_label" in archive and ignored is None:
        ignored = checked_ignored(_read(archive, "ignored_label", name), name)
    try:
        if ignored is None or ignored in range(len(declared)):
            return DataDescription(class_names=tuple(declared), ignored_label=ignored)
        # Such as 255, or -1: unlabelled pixels are then a class of their own, which no mask is scored by.
        return DataDescription(
            class_names=(*declared, UNLABELLED_NAME),
            ignored_label=len(declared),
            values=(*range(len(declared)), ignored),
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _found_classes(masks: np.ndarray, name: str, ignored: int | None) -> MaskValues:
    """Return the classes of masks (N, H, W) whose file names none.

    They are those of `described_by`, unless the masks mark unlabelled pixels by a value of their own: `ignored`, or
    255 without a class 254.
    """
    values = {int(value) for mask in masks for value in np.unique(mask)}
    if ignored is not None or (UNLABELLED_VALUE in values and UNLABELLED_VALUE - 1 not in values):
        return mask_values(None, values, ignored=ignored, colours=False, uri=name)
    try:
        description = described_by(masks.astype(np.uint8))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return MaskValues(description=description, labels={label: label for label in range(description.num_classes)})


def _check_training_shape(training: np.ndarray, name: str) -> None:
    if training.ndim != 4:
        raise ValueError(f"{name}: training_set has shape {training.shape}, must have 4 axes: (N, 2, H, W). {APART}")
    if training.shape[1] != 2:
        raise ValueError(
            f"{name}: training_set has shape {training.shape}: its second axis must have size 2: image and mask. "
            f"{APART}"
        )
    if 0 in training.shape:
        raise ValueError(f"{name}: training_set has shape {training.shape}: it is empty")
    if training.dtype.kind not in "uif":
        raise ValueError(f"{name}: training_set has type {training.dtype}, must be integers or floats. {APART}")


def _refuse(wrong_nhw: np.ndarray, pixels_nhw: np.ndarray, what: str, rule: str) -> None:
    """Raise a ValueError for the first wrong pixel, if there is one. `wrong_nhw` is (N, H, W) bool."""
    if wrong_nhw.any():
        n, row, column = (int(i) for i in np.unravel_index(int(wrong_nhw.argmax()), wrong_nhw.shape))
        value = pixels_nhw[n, row, column]
        raise ValueError(f"{what} {n} holds {value:g} at row {row}, column {column}: {rule}")


def _labels(
    masks: np.ndarray, given: DataDescription | None, name: str, ignored: int | None
) -> tuple[np.ndarray, MaskValues]:
    """Return the labels (N, H, W) uint8 of masks (N, H, W), and what the values of the masks mean."""
    if given is not None and given.num_classes == 2 and given.values is None and _are_0_and_255(masks):
        given = dataclasses.replace(given, values=(0, UNLABELLED_VALUE))
    values = list(range(MOST_CLASSES)) if given is None else list(given.mask_values)
    if given is None and ignored is not None:
        values.append(ignored)
    # Values are 0, 1, 2, ...; the last one, of unlabelled pixels or of the second of two classes, may be any other.
    also = values[-1] if values[-1] != len(values) - 1 else None
    high = len(values) - 1 - (also is not None)
    wrong = (masks < 0) | (masks > high)
    if masks.dtype.kind == "f":
        wrong |= masks != np.floor(masks)  # NaN too
    if also is not None:
        wrong &= masks != also
    rule = f"labels are whole numbers from 0 to {high}" + ("" if also in (None, *range(high + 1)) else f", or {also}")
    _refuse(wrong, masks, f"{name}: training_set mask", rule)
    if given is None:
        classes = _found_classes(masks, name, ignored)
    else:
        classes = MaskValues(description=given, labels={value: label for label, value in enumerate(given.mask_values)})
    labels = masks.astype(np.uint8)
    for value, label in classes.labels.items():
        if value != label:
            labels[masks == value] = label
    unlabelled = classes.description.ignored_label
    if unlabelled is not None and not (labels != unlabelled).any():
        value = classes.description.mask_values[unlabelled]
        raise ValueError(f"{name}: no mask holds a labelled pixel: all pixels are {value}")
    return labels, classes


def _are_0_and_255(masks: np.ndarray) -> bool:
    return masks.max(initial=0) == UNLABELLED_VALUE and bool(((masks == 0) | (masks == UNLABELLED_VALUE)).all())


def _pixels(images: np.ndarray, test: np.ndarray | None, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    parts = {"training_set image": images} | ({} if test is None else {"test_set image": test})
    for part, pixels in parts.items():
        what = f"{name}: {part}"
        if pixels.dtype.kind not in "uif":
            raise ValueError(f"{what}s have type {pixels.dtype}, must be integers or floats")
        if pixels.dtype.kind == "f":
            _refuse(~np.isfinite(pixels), pixels, what, "pixels must be finite")
        _refuse((pixels < 0) | (pixels > 255), pixels, what, f"pixels are in 0 to 255, or floats in 0 to 1. {APART}")
    if all(pixels.dtype.kind == "f" and pixels.max(initial=0) <= 1 for pixels in parts.values()):
        return images.astype(np.float32), None if test is None else test.astype(np.float32)
    for part, pixels in parts.items():
        rule = "pixels in 0 to 255 must be whole numbers; scale other floats to 0 to 1"
        _refuse(pixels != np.floor(pixels), pixels, f"{name}: {part}", rule)
    return images.astype(np.uint8), None if test is None else test.astype(np.uint8)
