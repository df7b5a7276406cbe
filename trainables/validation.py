"""Checks of configuration fields, and their flat form, in which the parameters of components lie beside the fields.

A violated rule raises a ValueError that names the field, the value and the rule.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from trainables.registry import Component, parameter_owners

Settings = TypeVar("Settings")

PLUS = "+"
"""Separator of names where several can be combined: "focal+dice", "flips+crop"."""

# Defaults of conditional fields: field -> (other field, the values of it with which the field applies, default).
Conditions = Mapping[str, tuple[str, tuple[str, ...], Any]]


def resolve(config: Any, conditions: Conditions) -> None:
    """Fill in the defaults of the conditional fields that apply.

    Raises:
        ValueError: if a field is given that does not apply.
    """
    for name, (owner, values, default) in conditions.items():
        applies = not set(values).isdisjoint(str(getattr(config, owner)).split(PLUS))
        value = getattr(config, name)
        if applies and value is None:
            object.__setattr__(config, name, default)
        elif not applies and value is not None:
            raise ValueError(
                f"{type(config).__name__}.{name} = {value!r} has no effect with {owner} = {getattr(config, owner)!r}: "
                f"it applies only to {', '.join(values)}"
            )


def check(config: Any, name: str, ok: bool, rule: str) -> None:
    """Raise a ValueError that names the field, its value and the rule if `ok` is False."""
    if not ok:
        raise ValueError(f"{type(config).__name__}.{name} = {getattr(config, name)!r}: {rule}")


def check_positive(config: Any, *names: str) -> None:
    """Check that fields are finite and above 0."""
    for name in names:
        value = getattr(config, name)
        check(config, name, math.isfinite(value) and value > 0, "must be a positive number")


def check_name(config: Any, name: str, known: tuple[str, ...]) -> None:
    """Check that a field is one of the known names."""
    check(config, name, getattr(config, name) in known, f"must be one of {', '.join(known)}")


def check_names(config: Any, name: str, known: tuple[str, ...]) -> None:
    """Check that a field is one or more different known names joined by a plus."""
    given = str(getattr(config, name)).split(PLUS)
    rule = f"must be one of {', '.join(known)}, or several different ones joined by {PLUS}"
    check(config, name, set(given) <= set(known) and len(set(given)) == len(given), rule)


def resolve_parameters(config: Any, registry: Mapping[str, Component[Any]]) -> None:
    """Complete `config.parameters` with the defaults of the components named in `config.name`, and check their rules.

    Raises:
        ValueError: if none of them takes a given parameter, or a value violates its rule.
    """
    kind, names, owners = type(config).__name__, config.name.split(PLUS), parameter_owners(registry)
    for key, value in config.parameters.items():
        if key not in owners:
            raise ValueError(f"{kind}.{key} = {value!r}: unknown parameter, must be one of {', '.join(owners)}")
        if value is not None and set(owners[key]).isdisjoint(names):
            raise ValueError(
                f"{kind}.{key} = {value!r} has no effect with name = {config.name!r}: "
                f"it applies only to {', '.join(owners[key])}"
            )
    resolved = {}
    for name in names:
        for key, parameter in registry[name].parameters.items():
            value = config.parameters.get(key)
            resolved[key] = value = parameter.default if value is None else value
            if value is not None and not parameter.allows(value):
                raise ValueError(f"{kind}.{key} = {value!r}: {parameter.rule}")
    object.__setattr__(config, "parameters", resolved)


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
