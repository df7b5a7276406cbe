"""Registries are plain dicts from a name to a callable; this is how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def lookup(registry: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """The entry called `name`.

    Raises:
        ValueError: if there is none; the message lists the known names. `kind` says what is looked up ("loss").
    """
    try:
        return registry[name]
    except KeyError:
        raise ValueError(f"unknown {kind} {name!r}: known are {', '.join(registry)}") from None
