"""Writes arrays as NumPy files piece by piece, so that they may be larger than the memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from trainables.data.sizes.images import ImageList, Images, sizes_of


class NpyWriter:
    """Writes one array to a file, from its first entry to its last. The file is the one that `numpy.save` writes.

    Args:
        path: the file.
        dtype: the dtype of the array.
        shape: its shape; as many values must be written.
    """

    def __init__(self, path: Path, dtype: Any, shape: Sequence[int]):
        self.path, self._dtype, self._shape = path, np.dtype(dtype), tuple(int(length) for length in shape)
        self._written = 0

    def __enter__(self) -> NpyWriter:
        self._file = self.path.open("wb")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": self._shape}
        self._named(lambda: np.lib.format.write_array_header_1_0(self._file, header))
        return self

    def write(self, values: np.ndarray) -> None:
        """Append values, of any shape.

        Raises:
            OSError: naming the file, if it cannot be written.
        """
        assert values.dtype == self._dtype
        self._named(lambda: self._file.write(np.ascontiguousarray(values).data))
        self._written += values.size

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            assert self._written == np.prod(self._shape, dtype=np.int64)
            self._named(self._file.close)  # the last values may not fit on the disk
        else:
            self._file.close()

    def _named(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from error


def write_images(path: Path, images: Images) -> None:
    """Write images: of one size as an array (N, H, W[, C]), of several as the pixels of an `ImageList`.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with NpyWriter(path, images.dtype, shape_of(sizes_of(images), images[0].shape[2:] if len(images) else ())) as out:
        for image in images:
            out.write(image)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array like `numpy.save`; raises OSError, naming the file, if it cannot be written."""
    with NpyWriter(path, array.dtype, array.shape) as out:
        out.write(array)


def shape_of(sizes: np.ndarray, channels: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the array that holds images of these sizes (N, 2), see `write_images`."""
    if not len(sizes):
        return (0, 0, 0, *channels)
    if one_size(sizes):
        return (len(sizes), *(int(length) for length in sizes[0]), *channels)
    return (int(sizes.prod(axis=1).sum()), *channels)


def one_size(sizes: np.ndarray) -> bool:
    """Return whether images of these sizes (N, 2) all have one size."""
    return bool((sizes == sizes[:1]).all())


def read_images(path: Path, sizes: np.ndarray | None = None) -> Images:
    """Memory-map what `write_images` wrote.

    Args:
        path: the file.
        sizes: (N, 2) int64 sizes of the images; None: they have one size.
    """
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found if sizes is None or one_size(sizes) else ImageList(found, sizes)
