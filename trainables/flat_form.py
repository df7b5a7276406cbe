"""The flat form of the settings of a part: a field is a scalar, and the parameters of its components lie beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from trainables.registry import parameter_owners

Settings = TypeVar("Settings")


def takes(kind: type[Any], name: str) -> bool:
    """Return whether the flat form of these settings may hold a field or parameter of that name."""
    fields = {field.name for field in dataclasses.fields(kind)} - {"parameters"}
    return name in fields or name in _parameters(kind)


def from_flat_fields(kind: type[Settings], flat: Mapping[str, Any]) -> Settings:
    """Build the settings of a part from their flat form, `{"depth": 3, ...}`. Absent keys take their defaults.

    Raises:
        ValueError: if a value violates the rule of its field.
    """
    values: dict[str, Any] = {}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, value in flat.items():
        if name in _parameters(kind):
            values.setdefault("parameters", {})[name] = value
            continue
        separator, part = fields[name].metadata.get("flat", ("", str))
        if separator and isinstance(value, str):
            value = tuple(part(each) for each in value.split(separator))
        values[name] = value
    return kind(**values)


def _parameters(kind: type[Any]) -> Mapping[str, list[str]]:
    """Return the parameters of the components that the settings may name."""
    return parameter_owners(getattr(kind, "REGISTRY", {}))
