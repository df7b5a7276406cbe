"""Whatever a damaged source makes a library raise becomes one kind of error that names the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from trainables.data.readers.classes import DeclaredClass
from trainables.data.readers.reader import Pair, Reader, Unlabelled

Item = TypeVar("Item")


@contextmanager
def damage_named(uri: str) -> Iterator[None]:
    """Context in which an error of any other type becomes a ValueError that names the source."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib, PyArrow, csv and decoders raise errors of many types
        raise ValueError(f"{uri}: cannot be read ({error})") from error


class Guarded:
    """A reader whose methods raise ValueError alone.

    Args:
        reader: the reader.
    """

    def __init__(self, reader: Reader):
        self.uri, self._reader = reader.uri, reader

    @property
    def declared(self) -> tuple[DeclaredClass, ...] | None:
        with damage_named(self.uri):
            return self._reader.declared

    @property
    def version(self) -> str:
        with damage_named(self.uri):
            return self._reader.version

    def pairs(self) -> Iterator[Pair]:
        return self._each(self._reader.pairs)

    def unlabelled(self) -> Iterator[Unlabelled]:
        return self._each(self._reader.unlabelled)

    def parts(self) -> dict[str, str] | None:
        with damage_named(self.uri):
            return self._reader.parts()

    def groups(self) -> dict[str, str | None] | None:
        with damage_named(self.uri):
            return self._reader.groups()

    def _each(self, begin: Callable[[], Iterator[Item]]) -> Iterator[Item]:
        with damage_named(self.uri):
            items = begin()
        while True:
            with damage_named(self.uri):
                item = next(items, None)
            if item is None:
                return
            yield item
