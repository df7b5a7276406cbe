"""A pytest plugin that hides the packages of all extras but `test`, as in a newcomer's environment."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PROJECT = "mars-search"


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Return the normalised names of a distribution and all that it needs with these extras."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    found = {name}
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
        ):
            found |= needed(normalised(requirement.name), frozenset(requirement.extras), seen)
    return found


def normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def visible_distributions() -> set[str]:
    """Return the distributions that the project with its `test` extra installs, and those that come with Python."""
    return needed(PROJECT, frozenset({"test"}), set()) | {"pip", "setuptools", "packaging"}


def hidden_modules(visible: set[str]) -> set[str]:
    """Return the top-level modules that no visible distribution provides."""
    return {
        module
        for module, distributions in importlib.metadata.packages_distributions().items()
        if not {normalised(distribution) for distribution in distributions} & visible
    }


class VisiblePaths(PathFinder):
    """Finds modules and distributions as Python does, but not the hidden ones."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        if path is None and fullname in HIDDEN:  # a package may bring its own copy, in a folder of its own
            path = [entry for entry in sys.path if Path(entry).name != "site-packages"]
        return super().find_spec(fullname, path, target)

    @staticmethod
    def find_distributions(*arguments: Any, **named: Any) -> Iterator[importlib.metadata.Distribution]:
        for found in PathFinder.find_distributions(*arguments, **named):
            if normalised(found.name) in VISIBLE:
                yield found


VISIBLE = visible_distributions()
HIDDEN = hidden_modules(VISIBLE)
sys.meta_path = [VisiblePaths if finder is PathFinder else finder for finder in sys.meta_path]
