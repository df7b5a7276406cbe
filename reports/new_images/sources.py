"""The images of the inputs: files, folders and npz files, here or in an object store."""

from __future__ import annotations

import functools
import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from trainables.data.readers.guarded import damage_named
from trainables.data.readers.image_files import SUFFIXES, read_image
from trainables.data.readers.image_folder import MASK_FOLDERS
from trainables.data.readers.npz_arrays import IMAGES, TO_PREDICT
from trainables.data.readers.place import Place
from trainables.data.source import SourceFile, find
from trainables.errors import listed

KEYS = (TO_PREDICT, "test_set", *IMAGES)
"""Arrays of an npz file that hold images, the first that is there."""
OVERLAYS, PROBABILITIES = "overlays", "probabilities"
"""Folders of the results, beside that of the masks."""


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image to predict."""

    name: str
    """Its path in the input, which names what is written for it."""
    where: str
    """Its path or URI, for messages."""
    version: str
    """Changes with its content: of size and modification time."""
    read: Callable[[], np.ndarray] = field(repr=False)
    """Reads it: (H, W) or (H, W, C)."""

    @property
    def identity(self) -> str:
        """Identifies the image, whatever it holds, without saying where it is."""
        return _short_hash(self.where)


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """The images of all inputs, in order."""

    images: list[NewImage]
    masks: int
    """Number of files that were left out because they are in folders of masks."""


def find_images(inputs: list[str], *, key: str | None, output: Path) -> FoundImages:
    """Find the images of the inputs; they are read later.

    Args:
        inputs: paths or URIs.
        key: array of the images in npz files; None: the first of KEYS.
        output: folder of the results, whose files are no inputs.

    Raises:
        ValueError: if an input does not exist, is of no known kind, or holds no image.
    """
    images, masks = [], 0
    for uri in inputs:
        file = find(uri)
        if file is None:
            found, left_out = _of_folder(uri, output)
            images += found
            masks += left_out
            continue
        suffix = PurePosixPath(uri.split("?")[0]).suffix.lower()
        if suffix == ".npz":
            images += _of_npz(file, uri, key)
        elif suffix in SUFFIXES:
            images.append(_of_file(file, uri))
        else:
            raise ValueError(f"{uri}: is no image ({', '.join(SUFFIXES)}), npz file or folder")
    return FoundImages(images=images, masks=masks)


def _of_file(file: SourceFile, uri: str) -> NewImage:
    def read() -> np.ndarray:
        with file.open() as stream:
            return read_image(stream.read(), uri)

    return NewImage(
        name=PurePosixPath(uri.split("?")[0]).name, where=file.uri, version=_short_hash(file.version), read=read
    )


def _of_folder(uri: str, output: Path) -> tuple[list[NewImage], int]:
    """Return the images of a folder, and how many of its files are left out as masks."""
    place = Place(uri)
    own: tuple[str, ...] = ()
    if "://" not in uri and output.resolve().is_relative_to(Path(uri).resolve()):
        inside = output.resolve().relative_to(Path(uri).resolve()).as_posix()
        own = (f"{OVERLAYS}/", f"{PROBABILITIES}/") if inside == "." else (f"{inside}/",)
    paths = [path for path in place.files if path.lower().endswith(SUFFIXES) and not path.startswith(own)]
    kept = [path for path in paths if not _is_mask(path)]
    if not kept:
        of_masks = f" outside of folders of masks ({', '.join(MASK_FOLDERS)})" if paths else ""
        raise ValueError(f"{uri}: holds no image{of_masks}; images are {', '.join(SUFFIXES)}")

    def read(path: str) -> np.ndarray:
        return read_image(place.read(path), f"{place.uri}/{path}")

    root = place.uri if "://" in uri else os.path.realpath(place.uri)
    images = [
        NewImage(
            name=path,
            where=f"{root}/{path}",
            version=_short_hash(str(place.files[path])),
            read=functools.partial(read, path),
        )
        for path in kept
    ]
    return images, len(paths) - len(kept)


def _is_mask(path: str) -> bool:
    return any(part.lower() in MASK_FOLDERS for part in path.split("/")[:-1])


def _of_npz(file: SourceFile, uri: str, key: str | None) -> list[NewImage]:
    with damage_named(uri), file.open() as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError(f"{uri}: is no npz file (it is not a zip archive)")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as arrays:
            known = [name for name in ((key,) if key else KEYS) if name in arrays]
            if not known:
                raise ValueError(
                    f"{uri}: has no array {key or ', '.join(KEYS)} (it has {listed(arrays.files) or 'none'}): name the "
                    "array of images with --images"
                )
            images = arrays[known[0]]
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"{uri}: {known[0]} has shape {images.shape}, images are (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    stem, version, digits = PurePosixPath(uri.split("?")[0]).stem, _short_hash(file.version), len(str(len(images) - 1))
    return [
        NewImage(
            name=f"{stem}_{index:0{digits}}",
            where=f"{file.uri}: {known[0]}[{index}]",
            version=version,
            read=functools.partial(images.__getitem__, index),
        )
        for index in range(len(images))
    ]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
