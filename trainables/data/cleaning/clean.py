"""Drops images from a data set: those that the user lists, and of the others those that the rules find unusable."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.cleaning.drop_limits import within_limits
from trainables.data.cleaning.drop_list import drop_list_of, nearest_name
from trainables.data.cleaning.unusable_pairs import Flagged, unusable_pairs
from trainables.data.raw_data import RawData
from trainables.data.sizes.images import Chosen
from trainables.data.source import DataSource
from trainables.errors import listed

LISTED = "are in the drop list"


class NoSuchImageError(ValueError):
    """A drop list names an image that the data set does not have."""

    def __init__(self, entry: int | str, rule: str):
        super().__init__(f"image {listed([entry])} cannot be dropped: {rule}")
        self.entry = entry


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A data set without the images that were dropped; `dropped` and `doubtful` hold indices into that of the file."""

    raw: RawData
    dropped: tuple[Flagged, ...]
    doubtful: tuple[Flagged, ...]
    """Images that a rule finds unusable, but that are kept."""
    names: tuple[str, ...] | None
    """Name of each image in the file, the dropped ones too; None: they are only numbered."""

    @property
    def longer_list(self) -> str:
        """The content of a drop list with the images of the present one, and the doubtful ones."""
        return drop_list_of(
            [pairs for pairs in self.dropped if pairs.reason == LISTED] + list(self.doubtful), self.names
        )


def clean(raw: RawData, source: DataSource) -> Cleaned:
    """Drop images as the source says.

    The images in its drop list are dropped first, and the rules look at the others only. With `keep_outliers` the rules
    drop nothing.

    Raises:
        NoSuchImageError: if the drop list names an image that does not exist.
        ValueError: if it names every image.
    """
    count = len(raw.images)
    asked = Flagged(reason=LISTED, indices=_listed(source, raw.names, count))
    left = _without(np.arange(count), [asked])
    if not len(left):
        raise ValueError(f"{source.uri}: all {count} images {LISTED}")
    rest = _only(raw, left)
    found = unusable_pairs(rest.images, rest.masks, rest.description)
    few, many = ([], found) if source.keep_outliers else within_limits(found, rest.masks, rest.description)
    dropped, doubtful = ([_renumbered(pairs, left) for pairs in some] for some in (few, many))
    if asked.indices:
        dropped = [asked, *dropped]
    return Cleaned(
        raw=_only(raw, _without(left, dropped)), dropped=tuple(dropped), doubtful=tuple(doubtful), names=raw.names
    )


def _listed(source: DataSource, names: Sequence[str] | None, count: int) -> tuple[int, ...]:
    """Return the indices of the images in the source's drop list, in ascending order.

    An entry that is the name of an image is this name, also if it is a number.
    """
    by_name = {} if names is None else {name: index for index, name in enumerate(names)}
    found = set()
    for entry in source.drop_list:
        if (index := by_name.get(str(entry))) is None:
            if isinstance(entry, str) and not re.fullmatch("[0-9]{1,18}", entry):
                raise NoSuchImageError(entry, _no_such_name(entry, source.uri, names, count))
            if not 0 <= (index := int(entry)) < count:
                raise NoSuchImageError(entry, f"{source.uri} has the images 0 to {count - 1}")
        found.add(index)
    return tuple(sorted(found))


def _no_such_name(name: str, uri: str, names: Sequence[str] | None, count: int) -> str:
    if names is None:
        return f"the images of {uri} have no names; list them by their indices, 0 to {count - 1}"
    nearest = nearest_name(name, names)
    return f"{uri} has no image of this name" + ("" if nearest is None else f"; did you mean {nearest}?")


def _without(indices: np.ndarray, dropped: Sequence[Flagged]) -> np.ndarray:
    """Return the sorted indices that were not dropped."""
    return np.setdiff1d(indices, [index for pairs in dropped for index in pairs.indices])


def _only(raw: RawData, indices: np.ndarray) -> RawData:
    """Return the data set with only these of its labelled images, uncopied."""
    if len(indices) == len(raw.images):
        return raw
    names = None if raw.names is None else tuple(raw.names[index] for index in indices)
    groups = None if raw.groups is None else tuple(raw.groups[index] for index in indices)
    images, masks = Chosen(raw.images, indices), Chosen(raw.masks, indices)
    return dataclasses.replace(raw, images=images, masks=masks, names=names, groups=groups)


def _renumbered(pairs: Flagged, indices: np.ndarray) -> Flagged:
    """Return pairs that are numbered by their positions among the given indices, numbered by these indices."""
    return Flagged(reason=pairs.reason, indices=tuple(int(indices[position]) for position in pairs.indices))
