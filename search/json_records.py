"""Dataclasses from JSON that may have been written by somebody else."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

MOST = 2**63
"""Bound of the absolute value of whole numbers: larger ones do not fit into a column of a table."""

Record = TypeVar("Record")


def from_json(kind: type[Record], values: Any) -> Record:
    """Build a record from these values. Unknown names are ignored; missing fields take their defaults.

    Raises:
        ValueError: naming the field whose value is missing or of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{_shown(values)} is not a JSON object")
    found = {}
    hashable: Any = kind
    for name, hint, always, fits, optional in _fields(hashable):
        value = values.get(name, MISSING)
        if type(value) in always or (value is not MISSING and fits(value)):
            found[name] = value
        elif value is not MISSING:
            raise ValueError(f"{name} is {_shown(value)}, must be {getattr(hint, '__name__', hint)}")
        elif not optional:
            raise ValueError(f"{name} is missing")
    return kind(**found)


@functools.cache
def _fields(kind: Any) -> list[tuple[str, Any, frozenset[type], Callable[[Any], bool], bool]]:
    """Return of each field its name and type, the classes of which every object is of that type, the function that
    tells it of any other object, and whether the field may be absent."""
    hints = typing.get_type_hints(kind)
    return [
        (
            field.name,
            hint := hints[field.name],
            _always(hint),
            _check(hint),
            field.default is not MISSING or field.default_factory is not MISSING,
        )
        for field in fields(kind)
    ]


def _always(hint: Any) -> frozenset[type]:
    """Return the classes of which every object is of a type: most values are found here, which takes no call."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return frozenset().union(*map(_always, typing.get_args(hint)))
    return frozenset({hint}) & {float, str, bool, types.NoneType}


@functools.cache
def _check(hint: Any) -> Callable[[Any], bool]:
    """Return the function that tells whether a JSON value is of a type.

    A ledger has tens of thousands of records of the same few types, so what a type consists of is looked up once.
    """
    origin, parts = typing.get_origin(hint), tuple(map(_check, typing.get_args(hint)))
    if hint is Any:
        return lambda value: True
    if origin in (types.UnionType, typing.Union):
        return lambda value: any(fits(value) for fits in parts)
    if origin is dict:
        key_fits, fits = parts
        return lambda value: isinstance(value, dict) and all(key_fits(key) and fits(v) for key, v in value.items())
    if origin is tuple:  # a list once read from JSON, still a tuple in an in-memory ledger
        return lambda value: (
            isinstance(value, list | tuple)
            and len(value) == len(parts)
            and all(fits(item) for fits, item in zip(parts, value, strict=True))
        )
    if origin is list:
        return lambda value: isinstance(value, list) and all(map(parts[0], value))
    if hint is float:
        return is_number
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST
    return lambda value: isinstance(value, hint)


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number that fits into a float; NaN and infinities count as numbers."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
