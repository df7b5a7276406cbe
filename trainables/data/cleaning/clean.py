"""Drops images from a data set: those that the user lists, and of the others those that the rules find unusable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.cleaning.drop_limits import within_limits
from trainables.data.cleaning.drop_list import drop_list_of
from trainables.data.cleaning.unusable_pairs import Flagged, unusable_pairs
from trainables.data.raw_data import RawData
from trainables.data.source import DataSource

LISTED = "are in the drop list"


class NoSuchImageError(ValueError):
    """A drop list names an image that the data set does not have."""

    def __init__(self, index: int, rule: str):
        super().__init__(f"image {index} cannot be dropped: {rule}")
        self.index = index


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A data set without the images that were dropped; `dropped` and `doubtful` hold indices into that of the file."""

    raw: RawData
    dropped: tuple[Flagged, ...]
    doubtful: tuple[Flagged, ...]
    """Images that a rule finds unusable, but that are kept."""

    @property
    def longer_list(self) -> str:
        """The content of a drop list with the images of the present one, and the doubtful ones."""
        return drop_list_of([pairs for pairs in self.dropped if pairs.reason == LISTED] + list(self.doubtful))


def clean(raw: RawData, source: DataSource) -> Cleaned:
    """Drop images as the source says.

    The images in its drop list are dropped first, and the rules look at the others only. With `keep_outliers` the rules
    drop nothing.

    Raises:
        NoSuchImageError: if the drop list names an image that does not exist.
        ValueError: if it names every image.
    """
    count = len(raw.images)
    for index in source.drop_list:
        if not 0 <= index < count:
            raise NoSuchImageError(index, f"{source.uri} has the images 0 to {count - 1}")
    listed = Flagged(reason=LISTED, indices=source.drop_list)
    left = _without(np.arange(count), [listed])
    if not len(left):
        raise ValueError(f"{source.uri}: all {count} images {LISTED}")
    rest = _only(raw, left)
    found = unusable_pairs(rest.images, rest.masks, rest.description)
    few, many = ([], found) if source.keep_outliers else within_limits(found, rest.masks, rest.description)
    dropped, doubtful = ([_renumbered(pairs, left) for pairs in some] for some in (few, many))
    if listed.indices:
        dropped = [listed, *dropped]
    return Cleaned(raw=_only(raw, _without(left, dropped)), dropped=tuple(dropped), doubtful=tuple(doubtful))


def _without(indices: np.ndarray, dropped: Sequence[Flagged]) -> np.ndarray:
    """Return the sorted indices that were not dropped."""
    return np.setdiff1d(indices, [index for pairs in dropped for index in pairs.indices])


def _only(raw: RawData, indices: np.ndarray) -> RawData:
    """Return the data set with only these of its labelled images; uncopied if they are all."""
    if len(indices) == len(raw.images):
        return raw
    names = None if raw.names is None else tuple(raw.names[index] for index in indices)
    groups = None if raw.groups is None else tuple(raw.groups[index] for index in indices)
    return dataclasses.replace(raw, images=raw.images[indices], masks=raw.masks[indices], names=names, groups=groups)


def _renumbered(pairs: Flagged, indices: np.ndarray) -> Flagged:
    """Return pairs that are numbered by their positions among the given indices, numbered by these indices."""
    return Flagged(reason=pairs.reason, indices=tuple(int(indices[position]) for position in pairs.indices))
