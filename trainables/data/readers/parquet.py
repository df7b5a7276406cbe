"""Reads Parquet files with a column of images and a column of masks, as the `datasets` library writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from trainables.data.readers.classes import DeclaredClass
from trainables.data.readers.foreign_content import HEAD, refuse_other_than_data
from trainables.data.readers.image_files import read_image, read_mask
from trainables.data.readers.image_folder import PARTS
from trainables.data.readers.place import Place
from trainables.data.readers.reader import Pair, Unlabelled
from trainables.errors import listed

IMAGES = ("image", "images", "pixel_values", "img")
MASKS = ("mask", "masks", "annotation", "annotations", "label", "labels", "segmentation", "segmentation_mask")
GROUP = "group"
ROWS = 16
"""Rows that are read at a time."""


class Parquet:
    """Reads one Parquet file, or all in a folder: columns of encoded images, as bytes or as struct of bytes and path.

    Files named train-*, validation-* and test-* are the user's own split. A column `group` says which images belong
    together. Rows without a mask are to predict.

    Args:
        uri: path or URI of a file or folder.
        images, masks: names of the columns; None: the usual ones.
    """

    def __init__(self, uri: str, *, images: str | None = None, masks: str | None = None):
        self.uri = uri
        single = uri.lower().endswith(".parquet")
        root, _, file = uri.rstrip("/").rpartition("/") if single else (uri, "", "")
        self._place = Place(root or ".")
        self._files = [file] if single else [path for path in self._place.files if path.endswith(".parquet")]
        if not self._files:
            raise ValueError(f"{uri}: holds no Parquet file")
        self._images = self._column(images, IMAGES, "images")
        self._masks = self._column(masks, MASKS, "masks")

    @property
    def version(self) -> str:
        return self._place.version(self._files)

    @cached_property
    def declared(self) -> tuple[DeclaredClass, ...] | None:
        """The names of a `ClassLabel` in the metadata of the `datasets` library, if the mask column has some."""
        metadata = self._schema.metadata or {}
        try:
            feature = json.loads(metadata[b"huggingface"])["info"]["features"][self._masks]
            names = feature.get("names") or feature["feature"]["names"]
        except (KeyError, ValueError, TypeError, AttributeError):
            return None
        return tuple(DeclaredClass(name=str(name), value=value) for value, name in enumerate(names))

    def pairs(self) -> Iterator[Pair]:
        for name, image, mask in self._rows():
            if mask is not None:
                labels = self._decoded(mask, name, mask=True)
                yield Pair(name=name, image=self._decoded(image, name, size=labels.shape[:2]), mask=labels)

    def unlabelled(self) -> Iterator[Unlabelled]:
        for name, image, mask in self._rows():
            if mask is None:
                yield Unlabelled(name=name, image=self._decoded(image, name))

    def parts(self) -> dict[str, str] | None:
        parts = {}
        for name, _, mask in self._rows():
            part = PARTS.get(PurePosixPath(name.partition("[")[0]).name.split("-")[0].split(".")[0].lower())
            if mask is not None and part is not None:
                parts[name] = part
        return parts or None

    def groups(self) -> dict[str, str | None] | None:
        if GROUP not in self._schema.names:
            return None
        found: dict[str, str | None] = {}
        for file in self._files:
            with self._open(file) as opened:
                column = opened.read(columns=[GROUP]).column(GROUP).to_pylist()
            found |= {f"{file}[{row}]": None if key in (None, "") else str(key) for row, key in enumerate(column)}
        return found

    @cached_property
    def _schema(self) -> Any:
        with self._open(self._files[0]) as file:
            return file.schema_arrow

    def _column(self, given: str | None, usual: tuple[str, ...], what: str) -> str:
        for column in [given] if given else usual:
            if column in self._schema.names:
                return column
        raise ValueError(
            f"{self.uri}: has no column of {what} ({given or ', '.join(usual)}); it has {listed(self._schema.names)}: "
            f"name it with --{what}"
        )

    def _open(self, file: str) -> Any:
        from pyarrow import ArrowException, parquet

        filesystem, root = self._place.opened
        try:
            return parquet.ParquetFile(filesystem.open_input_file(f"{root}/{file}"))
        except (OSError, ArrowException) as error:
            what = f"{self._place.uri}/{file}"
            refuse_other_than_data(self._place.read(file, HEAD), what)
            raise ValueError(f"{what}: is not a readable Parquet file ({error}): fetch or save it again") from None

    def _rows(self) -> Iterator[tuple[str, Any, Any]]:
        """Yield name, image and mask of each row as stored."""
        for file in self._files:
            with self._open(file) as opened:
                row = 0
                for batch in opened.iter_batches(batch_size=ROWS, columns=[self._images, self._masks]):
                    for entry in batch.to_pylist():
                        yield f"{file}[{row}]", entry[self._images], entry[self._masks]
                        row += 1

    def _decoded(
        self, stored: Any, name: str, *, mask: bool = False, size: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """Decode a stored image. Its own name, if there is one, tells its format; else it is taken for PNG."""
        content = stored.get("bytes") if isinstance(stored, dict) else stored
        path = (stored.get("path") if isinstance(stored, dict) else None) or "image.png"
        what = f"{self._place.uri}/{name}"
        if not isinstance(content, bytes):
            raise ValueError(f"{what}: holds no image bytes, but {type(content).__name__}")
        suffix = PurePosixPath(path).suffix
        return read_mask(content, f"{what}{suffix}") if mask else read_image(content, f"{what}{suffix}", size)
