"""Registries: plain dicts from a name to what it stands for, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry")
Product = TypeVar("Product")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A number that some components of a registry take."""

    help: str
    default: Any
    """None where the component can do without."""
    allows: Callable[[Any], bool]
    """Whether a value that is not None keeps the rule."""
    rule: str
    """The rule in words: "must be at least 0"."""


@dataclass(frozen=True)
class Component(Generic[Product]):
    """What a name of a registry stands for: how it is built, and the parameters that its builder takes by name."""

    builder: Callable[..., Product]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def build(self, *arguments: Any, given: Mapping[str, Any], **more: Any) -> Product:
        """Call the builder; of the given parameters it gets those that it has."""
        return self.builder(*arguments, **more, **{name: given[name] for name in self.parameters})


def lookup(registry: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """The entry called `name`.

    Raises:
        ValueError: if there is none; the message lists the known names. `kind` says what is looked up ("loss").
    """
    try:
        return registry[name]
    except KeyError:
        raise ValueError(f"unknown {kind} {name!r}: known are {', '.join(registry)}") from None


def parameter_owners(registry: Mapping[str, Component[Any]]) -> dict[str, list[str]]:
    """For each parameter of a registry's components the names of those that have it."""
    owners: dict[str, list[str]] = {}
    for name, component in registry.items():
        for parameter in component.parameters:
            owners.setdefault(parameter, []).append(name)
    return owners
