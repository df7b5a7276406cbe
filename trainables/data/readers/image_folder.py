"""Reads a folder of image files and a folder of mask files, paired by their names."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeVar

from trainables.data.readers.classes import DeclaredClass, read_classes
from trainables.data.readers.image_files import SUFFIXES, read_image, read_mask
from trainables.data.readers.place import Place
from trainables.data.readers.reader import Pair, Unlabelled
from trainables.errors import listed

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentations")
MASK_ENDINGS = ("_mask", "-mask", "_masks", "_label", "_labels", "_labelids", "_seg", "_gt")
"""What the name of a mask may have beside the name of its image."""
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of the sub-folders of a split, and the part that each is."""
CLASSES = ("classes.yaml", "classes.yml")
SPLIT, GROUPS = "split.csv", "groups.csv"


Value = TypeVar("Value")


@dataclass(frozen=True)
class _Found:
    """An image or a mask file."""

    path: str
    key: str
    """Its path without the name of the image or mask folder and without suffix: the same for an image and its mask."""


class ImageFolder:
    """Reads a folder with sub-folders of images and masks, such as `images/a.png` and `masks/a.png`.

    Sub-folders `train`, `val` and `test`, above or below those, or a `split.csv` with the columns `name` and `part`,
    are the user's own split. A `groups.csv` with the columns `name` and `group`, or a column `group` of the
    `split.csv`, says which images belong together. Images of a `test` folder without any mask are those to predict. A
    `classes.yaml` names the classes.

    Args:
        uri: path or URI of the folder.
        images, masks: names of the sub-folders; None: the usual names.
    """

    def __init__(self, uri: str, *, images: str | None = None, masks: str | None = None):
        self._place = Place(uri)
        self._images = (images.strip("/"),) if images else IMAGE_FOLDERS
        self._masks = (masks.strip("/"),) if masks else MASK_FOLDERS

    @property
    def uri(self) -> str:
        return self._place.uri

    @property
    def used(self) -> list[str]:
        """Paths of the files that make the data set, in the folder."""
        others = [path for path in (*CLASSES, SPLIT, GROUPS) if path in self._place.files]
        return sorted(
            [path for pair in self._paired for path in pair] + [found.path for found in self._to_predict] + others
        )

    @property
    def version(self) -> str:
        return self._place.version(self.used)

    @cached_property
    def declared(self) -> tuple[DeclaredClass, ...] | None:
        for name in CLASSES:
            if name in self._place.files:
                return read_classes(self._place.text(name), f"{self.uri}/{name}")
        return None

    def pairs(self) -> Iterator[Pair]:
        for image, mask in self._paired:
            yield read_pair(self._place, image, mask)

    def unlabelled(self) -> Iterator[Unlabelled]:
        for found in self._to_predict:
            yield Unlabelled(
                name=found.path, image=read_image(self._place.read(found.path), f"{self.uri}/{found.path}")
            )

    def parts(self) -> dict[str, str] | None:
        if SPLIT in self._place.files:
            return self._listed_parts()
        parts = {image: part_of(image) for image, _ in self._paired}
        return {name: part for name, part in parts.items() if part is not None} if any(parts.values()) else None

    def groups(self) -> dict[str, str | None] | None:
        if GROUPS in self._place.files:
            table = GROUPS
        elif SPLIT in self._place.files and "group" in self._columns(SPLIT):
            table = SPLIT
        else:
            return None
        return self._table(table, "group", lambda value, _: value or None)

    @cached_property
    def _paired(self) -> list[tuple[str, str]]:
        """Paths of each image and its mask."""
        masks = {found.key: found.path for found in self._found(self._masks)}
        for found in self._found(self._masks):
            masks.setdefault(_without_ending(found.key), found.path)
        images = [found for found in self._found(self._images) if found not in self._to_predict]
        if not images or not masks:
            raise ValueError(self._lacking(len(images), len(masks)))
        if lonely := [found.path for found in images if found.key not in masks]:
            raise ValueError(
                f"{self.uri}: {len(lonely)} of {len(images)} images have no mask of the same name: {listed(lonely)}. "
                "Add their masks, or move the images out of the folder"
            )
        often = Counter(found.key for found in images)
        if twice := [found.path for found in images if often[found.key] > 1]:
            raise ValueError(f"{self.uri}: images share a name, so that their masks are ambiguous: {listed(twice)}")
        return [(found.path, masks[found.key]) for found in images]

    @cached_property
    def _to_predict(self) -> list[_Found]:
        """Images of a test part that has no mask at all."""
        if any(part_of(found.path) == "test" for found in self._found(self._masks)):
            return []
        return [found for found in self._found(self._images) if part_of(found.path) == "test"]

    def _found(self, folders: tuple[str, ...]) -> list[_Found]:
        """Return the files of the first folder name that occurs, at any depth."""
        for folder in folders:
            inside = [
                _Found(path, key)
                for path in self._place.files
                if path.lower().endswith(SUFFIXES) and (key := _key(path, folder)) is not None
            ]
            if inside:
                return inside
        return []

    def _lacking(self, images: int, masks: int) -> str:
        missing = []
        if not images:
            missing.append(f"images (looked for folders named {', '.join(self._images)})")
        if not masks:
            missing.append(f"masks (looked for folders named {', '.join(self._masks)})")
        folders = sorted({str(PurePosixPath(path).parent) for path in self._place.files})
        holds = f"it holds {listed(folders)}" if folders else "it holds no files"
        return (
            f"{self.uri}: found no {' and no '.join(missing)}; {holds}. Files are PNG, TIFF, JPEG, WebP or NPY; name "
            "other sub-folders with --images and --masks"
        )

    def _listed_parts(self) -> dict[str, str]:
        def part_named(value: str, line: int) -> str:
            if (part := PARTS.get(value.lower())) is None:
                raise ValueError(f"{self.uri}/{SPLIT}: line {line} has part {value!r}, must be train, val or test")
            return part

        return self._table(SPLIT, "part", part_named)

    def _columns(self, file: str) -> list[str]:
        """Return the names of the columns of a table in the folder."""
        return list(csv.DictReader(self._place.text(file).splitlines()).fieldnames or ())

    def _table(self, file: str, column: str, read: Callable[[str, int], Value]) -> dict[str, Value]:
        """Return what `read` makes of each image's value and line, in a table with the columns `name` and `column`.

        Raises:
            ValueError: if the table lacks a column or an image, or names something else; also what `read` raises.
        """
        what = f"{self.uri}/{file}"
        rows = list(csv.DictReader(self._place.text(file).splitlines()))
        if not rows or not {"name", column} <= set(rows[0]):
            raise ValueError(f"{what}: must begin with the line `name,{column}`, then hold one line for each image")
        images: dict[str, str] = {}
        for image, _ in self._paired:
            for name in (image, PurePosixPath(image).name, PurePosixPath(image).stem):
                images.setdefault(name, image)
        values: dict[str, Value] = {}
        for line, row in enumerate(rows, start=2):
            if (named := images.get(str(row["name"]).strip())) is None:
                raise ValueError(f"{what}: line {line} names {row['name']!r}, which is no image of the folder")
            values[named] = read((row[column] or "").strip(), line)
        if lacking := [image for image, _ in self._paired if image not in values]:
            raise ValueError(f"{what}: says no {column} for {len(lacking)} images: {listed(lacking)}")
        return values


def read_pair(place: Place, image: str, mask: str) -> Pair:
    """Read an image and its mask, by their paths in a folder."""
    labels = read_mask(place.read(mask), f"{place.uri}/{mask}")
    pixels = read_image(place.read(image), f"{place.uri}/{image}", labels.shape[:2])
    return Pair(name=image, image=pixels, mask=labels)


def part_of(path: str) -> str | None:
    """Return the part of the split that a folder of the path names, if one does."""
    named = [PARTS[folder.lower()] for folder in path.split("/")[:-1] if folder.lower() in PARTS]
    return named[0] if named else None


def _key(path: str, folder: str) -> str | None:
    """Return a path without one folder's name and without suffix; None if it is not in such a folder."""
    wanted = folder.lower().split("/")
    *folders, name = path.split("/")
    lower = [part.lower() for part in folders]
    for start in range(len(folders) - len(wanted) + 1):
        if lower[start : start + len(wanted)] == wanted:
            return "/".join([*folders[:start], *folders[start + len(wanted) :], PurePosixPath(name).stem])
    return None


def _without_ending(key: str) -> str:
    for ending in MASK_ENDINGS:
        if key.lower().endswith(ending):
            return key[: -len(ending)]
    return key
