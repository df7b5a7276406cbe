"""Reads an npz file with an array of images and an array of masks, record by record."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import cached_property
from typing import IO, BinaryIO

import numpy as np

from trainables.data.readers.classes import UNLABELLED_NAME, DeclaredClass, checked_ignored, checked_names
from trainables.data.readers.image_folder import PARTS
from trainables.data.readers.reader import Pair, Unlabelled
from trainables.errors import listed

IMAGES = ("images", "image", "imgs", "x", "X")
MASKS = ("masks", "mask", "labels", "y", "Y")
TO_PREDICT = "test_images"
CHUNK = 2**24
"""Bytes of an array that are decompressed at a time."""


class NpzArrays:
    """Reads `images` and `masks` of an npz file: (N, H, W), (N, H, W, C) or (N, C, H, W) images, masks likewise.

    Optional keys: `test_images`, the images to predict; `class_names` (C,) strings and `ignored_label`, an integer;
    `split` (N,) strings train, val and test; `groups` (N,) strings or whole numbers, equal for images that belong
    together; `names` and `test_names`, the names of the images.

    Args:
        stream: the content of the file, seekable.
        uri: the file, for messages.
        images, masks: the keys; None: the usual ones.
    """

    def __init__(self, stream: BinaryIO, uri: str, *, images: str | None = None, masks: str | None = None):
        self.uri = uri
        self._archive = zipfile.ZipFile(stream)
        self.keys = [name.removesuffix(".npy") for name in self._archive.namelist()]
        self._images = self._key(images, IMAGES, "images")
        self._masks = self._key(masks, MASKS, "masks")
        self._check_shapes()

    @staticmethod
    def fits(keys: list[str], images: str | None, masks: str | None) -> bool:
        """Return whether an npz file with these keys has this layout."""
        return any(key in keys for key in ([images] if images else IMAGES)) and any(
            key in keys for key in ([masks] if masks else MASKS)
        )

    @property
    def version(self) -> str:
        return ""

    @cached_property
    def declared(self) -> tuple[DeclaredClass, ...] | None:
        if "class_names" not in self.keys:
            if "ignored_label" in self.keys:
                raise ValueError(f"{self.uri}: has ignored_label but no class_names: add class_names")
            return None
        names = checked_names(self._small("class_names"), self.uri)
        ignored = None
        if "ignored_label" in self.keys:
            ignored = checked_ignored(self._small("ignored_label"), self.uri)
        classes = [DeclaredClass(name=name, value=value, ignored=value == ignored) for value, name in enumerate(names)]
        if ignored is not None and ignored not in range(len(classes)):
            classes.append(DeclaredClass(name=UNLABELLED_NAME, value=ignored, ignored=True))
        return tuple(classes)

    def pairs(self) -> Iterator[Pair]:
        images, masks = self._records(self._images), self._records(self._masks)
        for index, (name, image, mask) in enumerate(zip(self._names, images, masks, strict=True)):
            yield Pair(name=name, image=self._oriented(image), mask=self._mask(mask, index))

    def unlabelled(self) -> Iterator[Unlabelled]:
        if TO_PREDICT in self.keys:
            names = self._named(TO_PREDICT, "test_names", self._header(TO_PREDICT)[0][0])
            for name, image in zip(names, self._records(TO_PREDICT), strict=True):
                yield Unlabelled(name=name, image=self._oriented(image))

    def parts(self) -> dict[str, str] | None:
        if "split" not in self.keys:
            return None
        split = self._small("split")
        if split.shape != (self._count,) or split.dtype.kind != "U":
            raise ValueError(f"{self.uri}: split must be {self._count} strings, has shape {split.shape}")
        if wrong := sorted({str(part) for part in split} - set(PARTS)):
            raise ValueError(f"{self.uri}: split holds {listed(wrong)}: its values are train, val and test")
        return {name: PARTS[str(part)] for name, part in zip(self._names, split, strict=True)}

    def groups(self) -> dict[str, str | None] | None:
        if "groups" not in self.keys:
            return None
        return dict(zip(self._names, checked_groups(self._small("groups"), self._count, self.uri), strict=True))

    @cached_property
    def _names(self) -> list[str]:
        return self._named(self._images, "names", self._count)

    def _named(self, array: str, key: str, count: int) -> list[str]:
        """Return the names of the images in an array: those that the file gives, or the key and the index."""
        if key not in self.keys:
            return [f"{array}[{index}]" for index in range(count)]
        names = self._small(key)
        if names.shape != (count,) or names.dtype.kind != "U":
            raise ValueError(
                f"{self.uri}: {key} must be {count} strings, has shape {names.shape} and type {names.dtype}"
            )
        if len(set(names.tolist())) < count:
            raise ValueError(f"{self.uri}: {key} holds a name more than once")
        return [str(name) for name in names]

    def _key(self, given: str | None, usual: tuple[str, ...], what: str) -> str:
        for key in [given] if given else usual:
            if key in self.keys:
                return key
        wanted = given or ", ".join(usual)
        raise ValueError(f"{self.uri}: has no key for the {what} ({wanted}); it has {listed(self.keys)}")

    def _check_shapes(self) -> None:
        (images, masks), uri = (self._header(key)[0] for key in (self._images, self._masks)), self.uri
        if len(images) not in (3, 4) or 0 in images:
            raise ValueError(
                f"{uri}: {self._images} has shape {images}, must be (N, H, W), (N, H, W, C) or (N, C, H, W), not empty"
            )
        squeezed = [length for place, length in enumerate(masks) if place not in (1, 3) or length != 1]
        if len(masks) == 4 and len(squeezed) == 4 and masks[-1] == 3:
            squeezed = list(masks[:3])  # colours
        if len(squeezed) != 3:
            raise ValueError(f"{uri}: {self._masks} has shape {masks}, must be (N, H, W), or colours (N, H, W, 3)")
        self._count, self._size = int(squeezed[0]), (int(squeezed[1]), int(squeezed[2]))
        if images[0] != self._count or self._size not in (tuple(images[1:3]), tuple(images[-2:])):
            raise ValueError(
                f"{uri}: {self._images} has shape {images} and {self._masks} {masks}: there must be one mask for each "
                "image, of the same height and width"
            )
        self._channels_first = len(images) == 4 and tuple(images[-2:]) == self._size and images[-1] > images[1]
        for key, kinds in ((self._images, "uif"), (self._masks, "uifb")):
            if (dtype := self._header(key)[1]).kind not in kinds:
                raise ValueError(f"{uri}: {key} has type {dtype}, must be integers or floats")

    def _oriented(self, image: np.ndarray) -> np.ndarray:
        if image.ndim == 2:
            return image
        image = np.moveaxis(image, 0, -1) if self._channels_first else image
        return image[..., 0] if image.shape[-1] == 1 else image

    def _mask(self, mask: np.ndarray, index: int) -> np.ndarray:
        if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[-1]):
            mask = mask.reshape(self._size)
        if mask.dtype.kind == "f":
            if (broken := ~(mask == np.floor(mask))).any():
                row, column = np.argwhere(broken)[0][:2]
                raise ValueError(
                    f"{self.uri}: {self._masks}[{index}] holds {mask[broken][0]:g} at row {row}, column {column}: "
                    "labels are whole numbers"
                )
            mask = mask.astype(np.int64)
        return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask

    def _small(self, key: str) -> np.ndarray:
        with self._open(key) as stream:
            try:
                return np.lib.format.read_array(stream, allow_pickle=False)
            except ValueError as error:
                raise ValueError(f"{self.uri}: {key} cannot be read ({error})") from None

    def _open(self, key: str) -> IO[bytes]:
        return self._archive.open(f"{key}.npy" if f"{key}.npy" in self._archive.namelist() else key)

    def _header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        with self._open(key) as stream:
            shape, _, dtype = _read_header(stream, f"{self.uri}: {key}")
            return shape, dtype

    def _records(self, key: str) -> Iterator[np.ndarray]:
        """Yield the entries of an array along its first axis, decompressed in chunks."""
        with self._open(key) as stream:
            shape, fortran, dtype = _read_header(stream, f"{self.uri}: {key}")
            if fortran:  # its entries lie scattered
                with self._open(key) as whole:
                    yield from np.lib.format.read_array(whole, allow_pickle=False)
                return
            entry = int(np.prod(shape[1:])) * dtype.itemsize
            several = max(1, CHUNK // max(1, entry))
            for start in range(0, shape[0], several):
                count = min(several, shape[0] - start)
                content = stream.read(count * entry)
                if len(content) < count * entry:
                    raise ValueError(f"{self.uri}: {key} ends early: the file is not complete")
                yield from np.frombuffer(content, dtype).reshape(count, *shape[1:])


def checked_groups(groups: np.ndarray, count: int, uri: str) -> list[str | None]:
    """Return the key of each image's group, from the array of a file; None for an empty string.

    Raises:
        ValueError: if it is no array of one string or whole number for each image.
    """
    if groups.shape != (count,) or groups.dtype.kind not in "Uui":
        raise ValueError(
            f"{uri}: groups must be {count} strings or whole numbers, one for each image, has shape {groups.shape} and "
            f"type {groups.dtype}"
        )
    return [str(group) or None for group in groups.tolist()]


def _read_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns are contiguous, and dtype of an array in NumPy's format."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # NumPy parses the header as Python
        raise ValueError(f"{what} cannot be read ({error})") from None
    if dtype.hasobject:
        raise ValueError(f"{what} holds pickled Python objects, which are never loaded: save plain numbers")
    return shape, fortran, dtype
