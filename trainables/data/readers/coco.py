"""Reads annotations in COCO's format: polygons and run-length encodings of objects, painted into masks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from trainables.data.readers.classes import DeclaredClass
from trainables.data.readers.image_files import SUFFIXES, read_image
from trainables.data.readers.image_folder import part_of
from trainables.data.readers.place import Place
from trainables.data.readers.reader import Pair, Unlabelled
from trainables.errors import listed

BACKGROUND, GROUP = "background", "group"
KEYS = {"images", "annotations", "categories"}
LARGEST = 2**16 - 1
"""Largest value of a pixel of a mask."""


class Coco:
    """Reads one or more annotation files and the images that they name.

    Every pixel without an object is of the class "background", with value 0 in the masks; the categories follow in the
    order of their ids. Where objects overlap, the smaller one is on top. Images with the same value in a field `group`
    belong together.

    Args:
        uri: path or URI of an annotation file, or of a folder that holds annotation files and images.
        images: path or URI of the folder of the images; None: the folder of `uri`, at any depth.
    """

    def __init__(self, uri: str, *, images: str | None = None):
        self.uri = uri
        single = uri.lower().endswith(".json")
        root, _, file = uri.rstrip("/").rpartition("/") if single else (uri, "", "")
        self._annotated = Place(root or ".")
        self._place = Place(images) if images else self._annotated
        self._files = [file] if single else annotation_files(self._annotated)

    @property
    def version(self) -> str:
        paths = sorted({self._path(image) for content in self._contents.values() for image in content["images"]})
        return self._annotated.version(self._files) + self._place.version(paths)

    @cached_property
    def declared(self) -> tuple[DeclaredClass, ...]:
        classes = [DeclaredClass(name=name, value=self._values[id_]) for id_, name in self._categories.items()]
        return (DeclaredClass(name=BACKGROUND, value=0), *classes)

    def pairs(self) -> Iterator[Pair]:
        for file, content in self._contents.items():
            objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for annotation in content["annotations"]:
                objects[annotation["image_id"]].append(annotation)
            for image in content["images"]:
                path = self._path(image)
                pixels = read_image(self._place.read(path), f"{self._place.uri}/{path}")
                mask = self._painted(
                    objects[image["id"]],
                    pixels.shape[:2],
                    self._values,
                    f"{self._annotated.uri}/{file}: {image['file_name']}",
                )
                yield Pair(name=path, image=pixels, mask=mask)

    def unlabelled(self) -> Iterator[Unlabelled]:
        return iter(())

    def parts(self) -> dict[str, str] | None:
        parts = {
            self._path(image): part
            for file, content in self._contents.items()
            if (part := _part_of_file(file)) is not None
            for image in content["images"]
        }
        return parts or None

    def groups(self) -> dict[str, str | None] | None:
        images = [image for content in self._contents.values() for image in content["images"]]
        if not any(GROUP in image for image in images):
            return None
        found = {self._path(image): image.get(GROUP) for image in images}
        return {path: None if key in (None, "") else str(key) for path, key in found.items()}

    @cached_property
    def _contents(self) -> dict[str, dict[str, Any]]:
        found = {}
        for file in self._files:
            what = f"{self._annotated.uri}/{file}"
            text = self._annotated.text(file)
            try:
                content = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{what}: is not valid JSON ({error}): fetch or export it again") from None
            if not isinstance(content, dict) or not content.keys() >= KEYS:
                raise ValueError(f"{what}: COCO annotations have the keys {', '.join(sorted(KEYS))}")
            for key, fields in (("images", ("id", "file_name")), ("annotations", ("image_id", "category_id"))):
                for place, entry in enumerate(content[key]):
                    if not isinstance(entry, dict) or any(field not in entry for field in fields):
                        raise ValueError(f"{what}: entry {place} of {key} lacks {' or '.join(fields)}")
            found[file] = content
        return found

    @cached_property
    def _categories(self) -> dict[int, str]:
        """Name of each category that an annotation uses, by id; categories of several files must agree."""
        names: dict[int, str] = {}
        used = {entry["category_id"] for content in self._contents.values() for entry in content["annotations"]}
        for file, content in self._contents.items():
            for category in content["categories"]:
                number, name = category.get("id"), str(category.get("name"))
                if names.setdefault(number, name) != name:
                    raise ValueError(
                        f"{self._annotated.uri}/{file}: category {number} is {name!r}, elsewhere {names[number]!r}"
                    )
        if unknown := sorted(used - names.keys()):
            raise ValueError(
                f"{self.uri}: annotations use categories that are not declared: {listed([*map(str, unknown)])}"
            )
        return {number: names[number] for number in sorted(names) if number in used}

    @cached_property
    def _values(self) -> dict[int, int]:
        """Value in the masks of each category, by id: its id, or its position from 1 if an id cannot be a value."""
        if all(type(id_) is int and 0 < id_ <= LARGEST for id_ in self._categories):
            return {id_: id_ for id_ in self._categories}
        return {id_: place for place, id_ in enumerate(self._categories, start=1)}

    @cached_property
    def _by_name(self) -> dict[str, str]:
        """Path of each image file, by its path and by its name."""
        paths = [path for path in self._place.files if path.lower().endswith(SUFFIXES)]
        return {PurePosixPath(path).name: path for path in paths} | {path: path for path in paths}

    def _path(self, image: dict[str, Any]) -> str:
        name = str(image["file_name"])
        for known in (name, PurePosixPath(name).name):
            if known in self._by_name:
                return self._by_name[known]
        raise ValueError(
            f"{self.uri}: names the image {name}, which is not under {self._place.uri}: give --images FOLDER"
        )

    def _painted(
        self, objects: list[dict[str, Any]], size: tuple[int, ...], values: dict[int, int], what: str
    ) -> np.ndarray:
        mask = np.zeros(size[:2], np.uint16)
        regions = [(values[each["category_id"]], _region(each, mask.shape, what)) for each in objects]
        for value, region in sorted(regions, key=lambda found: -int(found[1].sum())):
            mask[region] = value
        return mask


def annotation_files(place: Place) -> list[str]:
    """Return the JSON files of a folder that may be annotations; those of captions and key points are left out."""
    files = [path for path in place.files if path.lower().endswith(".json")]
    return [path for path in files if not any(kind in path.lower() for kind in ("caption", "keypoint"))]


def _part_of_file(path: str) -> str | None:
    """Return the part that an annotation file is for, by its folder or its name, such as instances_val2017.json."""
    if (part := part_of(path)) is not None:
        return part
    name = PurePosixPath(path).stem.lower()
    return next((part for part in ("train", "val", "test") if part in name), None)


def _region(annotation: dict[str, Any], size: tuple[int, ...], what: str) -> np.ndarray:
    """Return where an object is: (H, W) bool."""
    from pycocotools import mask as coco

    height, width = size
    shape = annotation.get("segmentation")
    try:
        if isinstance(shape, list):
            if not shape:
                return np.zeros(size, bool)
            encoded = coco.merge(coco.frPyObjects(shape, height, width))
        elif isinstance(shape, dict):
            if tuple(shape["size"]) != size:
                raise ValueError(f"encoded for {shape['size'][0]}x{shape['size'][1]}, the image is {height}x{width}")
            encoded = shape if isinstance(shape["counts"], (str, bytes)) else coco.frPyObjects(shape, height, width)
        else:
            raise ValueError("it has neither polygons nor a run-length encoding")
        return coco.decode(encoded).astype(bool)
    except Exception as error:  # pycocotools raises bare exceptions
        raise ValueError(f"{what}: the segmentation of an object cannot be read ({error})") from error
