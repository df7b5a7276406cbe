"""A model predicts where PyTorch, NumPy, Pillow and safetensors alone are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes.scripts import ROOT

NEEDED = {"torch", "numpy", "PIL", "safetensors"}
OF_TORCH = {
    "filelock",
    "typing_extensions",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "fsspec",
    "torchgen",
}
"""What PyTorch itself depends on, or brings."""
BLOCKED = f"""
import importlib.metadata, sys
allowed = {sorted(NEEDED | OF_TORCH | {"reports", "trainables", "functorch"})!r}
installed = set(importlib.metadata.packages_distributions()) - set(allowed)
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in installed - {{"_distutils_hack"}}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def five_lines() -> str:
    """The example of the documentation."""
    (program,) = re.findall(r"```python\n(from reports import load_model.*?)```", _page(), re.DOTALL)
    return program


def _page() -> str:
    return (ROOT / "docs" / "models.md").read_text()


@pytest.fixture
def place(bundle: Path, tmp_path: Path) -> Path:
    """A folder outside of the repository, with what the example names."""
    shutil.copytree(bundle, tmp_path / "runs" / "photos" / "report" / "model")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.jpg")
    return tmp_path


def run(program: str, place: Path, python: str = sys.executable, **environment: str) -> str:
    done = subprocess.run(
        [python, "-c", program], cwd=place, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_five_lines_need_few_packages(place):
    program = five_lines()
    assert len(program.strip().splitlines()) == 5
    seen = "\nprint(mask.shape, sorted({name.split('.')[0] for name in sys.modules} & {'ray', 'optuna', 'search'}))"
    output = run(BLOCKED + program + seen, place, PYTHONPATH=str(ROOT))
    assert output.splitlines()[-1] == "(30, 50) []"


@pytest.mark.slow
@pytest.mark.long
def test_the_five_lines_run_from_a_wheel_in_a_fresh_environment(place, tmp_path_factory):
    built = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(
        ROOT, built / "source", ignore=shutil.ignore_patterns(".git", ".venv", "runs", "tests", "docs", "*.egg-info")
    )
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(built)]
    subprocess.run([*pip, str(source)], check=True)
    (wheel,) = built.glob("mars_search-*.whl")
    environment = built / "environment"
    venv.create(environment, with_pip=False)
    (site,) = environment.glob("lib/python*/site-packages")
    installed = Path(np.__file__).parents[1]
    for package in sorted(NEEDED | OF_TORCH | {"functorch", "numpy.libs", "pillow.libs"}):
        for path in (installed / package, installed / f"{package}.py"):
            if path.exists():
                (site / path.name).symlink_to(path)
    shutil.unpack_archive(wheel, site, "zip")
    program = five_lines() + "\nimport reports\nprint(mask.shape, reports.__file__)"
    output = run(program, place, str(environment / "bin" / "python"), PYTHONPATH="", PYTHONNOUSERSITE="1")
    assert output.splitlines()[-1] == f"(30, 50) {site / 'reports' / '__init__.py'}"
