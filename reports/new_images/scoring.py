"""Scores predicted masks against the user's own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.table import Table

from reports.bundle.contents import Contents
from reports.new_images.results import Results, mask_values
from reports.new_images.sources import NewImage
from reports.prediction.scores_with_intervals import Confusions, Interval, confusion
from search.formatting import clean
from trainables.atomic_write import atomic_write
from trainables.data.readers.image_files import SUFFIXES, read_mask
from trainables.data.readers.image_folder import MASK_ENDINGS
from trainables.data.readers.place import Place
from trainables.data.sizes.images import by
from trainables.errors import listed

SCORES = "scores.json"
MOST_IN_THE_TABLE = 12
"""Most classes whose confusion matrix is printed; `scores.json` has it of any number."""


class TrueMasks:
    """The masks of a folder, paired with images by their names.

    Args:
        uri: path or URI of the folder.
        images: the images that need a mask.

    Raises:
        ValueError: if the folder cannot be read, or an image has no mask or several.
    """

    def __init__(self, uri: str, images: list[NewImage]):
        self._place = Place(uri)
        paths = [path for path in self._place.files if path.lower().endswith(SUFFIXES)]
        if not paths:
            raise ValueError(f"{uri}: holds no mask ({', '.join(SUFFIXES)})")
        by_path = {str(PurePosixPath(path).with_suffix("")): path for path in paths}
        stems = [_stem(path) for path in paths]
        often = Counter(stems)
        by_stem = dict(zip(stems, paths, strict=True))
        self._paths: list[str] = []
        lonely: list[str] = []
        for image in images:
            whole = by_path.get(str(PurePosixPath(image.name).with_suffix("")))
            stem = PurePosixPath(image.name).stem
            if whole is not None:
                self._paths.append(whole)
            elif often[stem] == 1:
                self._paths.append(by_stem[stem])
            elif often[stem] > 1:
                raise ValueError(f"{uri}: holds {often[stem]} masks for {image.name}: name the sub-folder with --masks")
            else:
                lonely.append(image.name)
        if lonely:
            raise ValueError(
                f"{uri}: holds no mask for {len(lonely)} of {len(images)} images: {listed(lonely)}; a mask has "
                "the name of its image"
            )

    def read(self, place: int) -> tuple[np.ndarray, str]:
        """Return the mask of an image, as its file holds it, and its name for messages."""
        name = f"{self._place.uri}/{self._paths[place]}"
        return read_mask(self._place.read(self._paths[place]), name), name


def _stem(path: str) -> str:
    stem = PurePosixPath(path).stem
    ending = next((ending for ending in MASK_ENDINGS if stem.lower().endswith(ending)), "")
    return stem[: len(stem) - len(ending)]


def scored(results: Results, place: int, masks: TrueMasks) -> np.ndarray:
    """Return the confusion matrix (C, C) of an image.

    Raises:
        ValueError: if the true mask has another size, or holds a value that is of no class.
    """
    described, predicted = results.contents.description, results.labels(place)
    mask, name = masks.read(place)
    if mask.shape[:2] != predicted.shape:
        raise ValueError(f"{name}: is {by(mask.shape)}, its image {by(predicted.shape)}: they must have the same size")
    if described.colour_masks and mask.ndim == 2:
        mask = np.repeat(mask[..., None], 3, axis=-1)
    truth = mask_values(described).to_labels(mask, name)
    counts = confusion(truth, predicted, described.num_classes)
    if described.ignored_label is not None:
        counts[described.ignored_label] = 0
    return counts


def confusions_of(contents: Contents, counts: list[np.ndarray]) -> Confusions:
    """Return the confusions of all images."""
    described = contents.description
    labels = described.scored_labels
    if described.ignored_label is not None and contents.suppressed != described.ignored_label:
        labels = (described.ignored_label, *labels)
    return Confusions(
        counts=np.stack(counts),
        names=described.class_names,
        scored=labels,
        ignored=described.ignored_label,
        metric=contents.metric,
    )


def write_scores(path: Path, contents: Contents, found: Confusions) -> None:
    """Write the score and the IoU of each class with 95 % intervals, and the confusion matrix."""
    images, classes = found.images_with(), found.class_intervals()
    content = {
        "model": contents.identity,
        "images": len(found.counts),
        "metric": found.metric.title,
        "score": _numbers(found.interval()),
        "classes": {name: _numbers(interval) | {"images": images[name]} for name, interval in classes.items()},
        "confusion": {"rows": "truth", "columns": "prediction", "classes": found.names, "pixels": _total(found)},
    }
    with atomic_write(path) as new:
        new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _total(found: Confusions) -> list[list[int]]:
    total: list[list[int]] = found.counts.sum(0).tolist()
    return total


def _numbers(interval: Interval) -> dict[str, Any]:
    numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: None if np.isnan(number) else number for name, number in numbers.items()}


def score_tables(found: Confusions) -> list[Table]:
    """Return the tables of the terminal: the IoU of each class and, if they are few, the confusion matrix."""
    table = Table(title=f"IoU on {len(found.counts)} images, with 95 % intervals", title_justify="left")
    table.add_column("class")
    table.add_column("images", justify="right")
    table.add_column("IoU")
    images = found.images_with()
    for name, interval in found.class_intervals().items():
        table.add_row(clean(name), str(images[name]), str(interval))
    shown = [label for label in range(len(found.names)) if found.counts.sum(0)[label].sum()]
    return [table] if len(shown) > MOST_IN_THE_TABLE else [table, _confusion_table(found, shown)]


def _confusion_table(found: Confusions, shown: list[int]) -> Table:
    table = Table(title="confusion matrix", title_justify="left")
    table.add_column("truth")
    total = found.counts.sum(0)
    columns = [label for label in range(len(found.names)) if total[:, label].any() or label in shown]
    for label in columns:
        table.add_column(clean(found.names[label]), justify="right")
    for row in shown:
        shares = total[row] / total[row].sum()
        table.add_row(clean(found.names[row]), *(f"{shares[label]:.1%}" for label in columns))
    return table
