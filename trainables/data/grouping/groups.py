"""The groups of a data set, from the best information that there is about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.raw_data import RawData
from trainables.data.source import DataSource
from trainables.errors import listed

SHOWN = 3
"""Number of image names that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The group of each labelled image, and where the groups come from."""

    numbers: tuple[int, ...]
    """Number of the group of each image, in order of their first images: 0, 1, ..."""
    origin: str
    """Completes "groups ...", such as "given by the data"."""


def groups_of(raw: RawData, source: DataSource) -> Groups:
    """Return the groups of the labelled images.

    They follow from the user's pattern if there is one, else from the data's own groups if it has some, else they are
    found: images that overlap, or are nearly the same.

    Raises:
        ValueError: if the pattern cannot be used on the data.
    """
    if source.group_pattern is not None:
        return _by_pattern(raw, source.group_pattern, source.uri)
    if raw.groups is not None:
        return Groups(numbers=_numbered(raw.groups), origin="given by the data")
    from trainables.data.grouping.look_alikes import look_alikes  # it imports OpenCV: not where a model only predicts

    return Groups(
        numbers=tuple(look_alikes(raw.images).tolist()), origin="found: images that overlap, or are nearly the same"
    )


def _by_pattern(raw: RawData, pattern: str, uri: str) -> Groups:
    """Return groups of images whose names agree in what the pattern's first group, or else all of it, matches."""
    if raw.names is None:
        raise ValueError(
            f"{uri}: --group-pattern: its images have no names; leave the option out to have the groups found, or "
            "save an array named groups in the file, with the group of each image"
        )
    try:
        compiled = re.compile(pattern)
    except re.error as error:  # from a study's settings; the option is checked
        raise ValueError(f"{uri}: group pattern {pattern!r} is not a regular expression ({error})") from None
    matches = [compiled.search(name) for name in raw.names]
    keys = [None if match is None else match[1] if compiled.groups else match[0] for match in matches]
    lonely = [name for name, key in zip(raw.names, keys, strict=True) if key is None]
    if len(lonely) == len(keys):
        raise ValueError(
            f"{uri}: --group-pattern {pattern!r} matches no image name; names are such as "
            f"{listed(raw.names[:SHOWN], most=SHOWN)}"
        )
    origin = f"by the names, {pattern}"
    if lonely:
        origin += f"; {len(lonely)} images that it does not match are groups of their own, such as {lonely[0]}"
    return Groups(numbers=_numbered(keys), origin=origin)


def _numbered(keys: Sequence[str | None]) -> tuple[int, ...]:
    """Number groups in order of their first images. An image without a key is a group of its own."""
    known: dict[object, int] = {}
    return tuple(known.setdefault((index,) if key is None else key, len(known)) for index, key in enumerate(keys))


def size_of_groups(numbers: np.ndarray) -> tuple[int, int]:
    """Return the number of groups, and the number of images of the largest."""
    sizes = np.bincount(numbers)
    return len(sizes), int(sizes.max())
