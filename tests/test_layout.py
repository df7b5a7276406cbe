"""Rules about where things are."""

from __future__ import annotations

import ast
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


FOLDERS = sorted(
    {path.parent for top in ("search", "trainables", "reports", "tests") for path in (ROOT / top).rglob("*.py")}
)


@pytest.mark.parametrize("folder", FOLDERS, ids=[str(folder.relative_to(ROOT)) for folder in FOLDERS])
def test_a_folder_is_small_enough_to_be_looked_through(folder):
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12


@pytest.mark.parametrize("path", sorted((ROOT / "search").rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_of_the_search_loads_nothing_by_itself(path):
    """`--help` answers at once: it must not load a library because of the folder that an option's module is in."""
    nodes = ast.walk(ast.parse(path.read_text()))
    imported = {ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)}
    assert imported <= {"from pathlib import Path"}


def test_every_folder_of_modules_is_a_package_that_is_installed():
    for package in ("search", "trainables", "reports"):
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            assert (folder / "__init__.py").is_file(), folder
