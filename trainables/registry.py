"""Registries: plain dicts that map names to components, and functions to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry")
Product = TypeVar("Product")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of one or more components of a registry."""

    help: str
    """A short description."""
    default: Any
    """Default value; None if the parameter is optional."""
    allows: Callable[[Any], bool]
    """Returns whether a value other than None satisfies the rule."""
    rule: str
    """The rule in words, for error messages: "must be at least 0"."""


@dataclass(frozen=True)
class Component(Generic[Product]):
    """An entry of a registry: a builder, and the parameters that the builder takes as keyword arguments."""

    builder: Callable[..., Product]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def build(self, *arguments: Any, given: Mapping[str, Any], **more: Any) -> Product:
        """Call the builder with those of the given parameters that it takes."""
        return self.builder(*arguments, **more, **{name: given[name] for name in self.parameters})


def lookup(registry: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """Return the entry `name` of a registry.

    Raises:
        ValueError: if there is none. The message lists the valid names; `kind` is the noun in it ("loss").
    """
    try:
        return registry[name]
    except KeyError:
        raise ValueError(f"unknown {kind} {name!r}: must be one of {', '.join(registry)}") from None


def parameter_owners(registry: Mapping[str, Component[Any]]) -> dict[str, list[str]]:
    """Return, for each parameter in a registry, the names of the components that take it."""
    owners: dict[str, list[str]] = {}
    for name, component in registry.items():
        for parameter in component.parameters:
            owners.setdefault(parameter, []).append(name)
    return owners
