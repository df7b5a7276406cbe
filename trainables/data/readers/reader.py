"""The protocol of the readers: they yield pairs one by one, so that a data set may be larger than the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trainables.data.readers.classes import DeclaredClass


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and its mask, as the source holds them."""

    name: str
    """Names the image in messages and lists, such as "images/a.png" or "images[17]"."""
    image: np.ndarray
    """(H, W) or (H, W, C), any integer or float dtype."""
    mask: np.ndarray
    """(H, W) integers, or (H, W, 3) uint8 colours."""


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """An image without a mask."""

    name: str
    image: np.ndarray


class Reader(Protocol):
    """Reads a data set of one layout. Each method may be called several times; iteration starts over then.

    All methods raise ValueError, naming the file, the value and the rule, for what cannot be read.
    """

    @property
    def uri(self) -> str:
        """The source, for messages."""

    @property
    def version(self) -> str:
        """Changes with names, sizes and times of the files, which are not read for it; empty for a single file."""

    @property
    def declared(self) -> tuple[DeclaredClass, ...] | None:
        """The classes that the source declares; None: they are found in the masks."""

    def pairs(self) -> Iterator[Pair]:
        """Yield all pairs, always in the same order."""

    def unlabelled(self) -> Iterator[Unlabelled]:
        """Yield the images to predict, always in the same order."""

    def parts(self) -> dict[str, str] | None:
        """Return the part ("train", "val" or "test") of each pair by its name, if the source gives a split."""

    def groups(self) -> dict[str, str | None] | None:
        """Return the key of each pair's group by its name, if the source gives groups; None: a group of its own."""
