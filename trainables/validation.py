"""Rules that the fields of a configuration keep; each breach is a ValueError that names the field and the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainables.registry import Component, parameter_owners

PLUS = "+"
"""Joins names where several may be taken together: "focal+dice", "flips+crop"."""

# A default that applies only where another field has one of the given values: field -> (that field, values, default).
Conditions = Mapping[str, tuple[str, tuple[str, ...], Any]]


def resolve(config: Any, conditions: Conditions) -> None:
    """Fill the conditional fields that apply; refuse those that are given where they mean nothing."""
    for name, (owner, values, default) in conditions.items():
        applies = not set(values).isdisjoint(str(getattr(config, owner)).split(PLUS))
        value = getattr(config, name)
        if applies and value is None:
            object.__setattr__(config, name, default)
        elif not applies and value is not None:
            raise ValueError(
                f"{type(config).__name__}.{name} = {value!r} means nothing with {owner} = {getattr(config, owner)!r}: "
                f"it belongs to {', '.join(values)}"
            )


def check(config: Any, name: str, ok: bool, rule: str) -> None:
    if not ok:
        raise ValueError(f"{type(config).__name__}.{name} = {getattr(config, name)!r}: {rule}")


def check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        check(config, name, math.isfinite(value) and value > 0, "must be a positive number")


def check_name(config: Any, name: str, known: tuple[str, ...]) -> None:
    check(config, name, getattr(config, name) in known, f"known are {', '.join(known)}")


def check_names(config: Any, name: str, known: tuple[str, ...]) -> None:
    """One or more known names, each once, joined by a plus."""
    given = str(getattr(config, name)).split(PLUS)
    rule = f"known are {', '.join(known)}, and any of them joined by {PLUS}, each once"
    check(config, name, set(given) <= set(known) and len(set(given)) == len(given), rule)


def resolve_parameters(config: Any, registry: Mapping[str, Component[Any]]) -> None:
    """Fill `config.parameters` with the defaults of the components that `config.name` names, and check their rules.

    Raises:
        ValueError: for a parameter that none of them has, and for a value that breaks its rule.
    """
    kind, names, owners = type(config).__name__, config.name.split(PLUS), parameter_owners(registry)
    for key, value in config.parameters.items():
        if key not in owners:
            raise ValueError(f"{kind}.{key} = {value!r}: known are {', '.join(owners)}")
        if value is not None and set(owners[key]).isdisjoint(names):
            raise ValueError(
                f"{kind}.{key} = {value!r} means nothing with name = {config.name!r}: "
                f"it belongs to {', '.join(owners[key])}"
            )
    resolved = {}
    for name in names:
        for key, parameter in registry[name].parameters.items():
            value = config.parameters.get(key)
            resolved[key] = value = parameter.default if value is None else value
            if value is not None and not parameter.allows(value):
                raise ValueError(f"{kind}.{key} = {value!r}: {parameter.rule}")
    object.__setattr__(config, "parameters", resolved)
