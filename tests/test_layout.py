"""Rules about where things are."""

from __future__ import annotations

import importlib.metadata
import itertools
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("folder", ["search", "reports"])
def test_no_module_beside_a_run_script_hides_another(folder):
    """A script's own folder comes first on the import path: a `types.py` in it would be everybody's `types`."""
    taken = sys.stdlib_module_names | set(importlib.metadata.packages_distributions())
    own = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert not own & taken


def test_the_constraints_pin_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain.from_iterable(project["optional-dependencies"].values())]
    names = {canonicalize_name(Requirement(text).name) for text in wanted} - {project["name"]}
    lines = (ROOT / "constraints.txt").read_text().split()
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines}
    assert names <= pinned, names - pinned
