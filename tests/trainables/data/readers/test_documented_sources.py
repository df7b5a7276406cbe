"""The example of each page about a source makes data that its command takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.cli.options.search_parser import parse
from search.cli.prepared_data import prepared_data
from tests.processes.scripts import ROOT

PAGES = sorted((ROOT / "docs" / "sources").glob("*.md"))
CLASSES = {
    "folder": ("ground", "red", "blue"),
    "arrays": ("soil", "wheat", "maize"),
    "coco": ("background", "red box", "green box"),
    "parquet": ("0", "1", "2"),
    "sizes": ("0", "1", "2"),
    "ai4mars": ("soil", "bedrock", "sand", "big rock", "unlabelled"),
}


def test_each_page_is_tried() -> None:
    assert {page.stem for page in PAGES} == set(CLASSES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    (command,) = re.findall(r"python search/run\.py (.*)", text)
    monkeypatch.chdir(tmp_path)
    data = prepared_data(parse(shlex.split(command)))
    assert data.description.class_names == CLASSES[page.stem]
    assert len(data.images) == 40
    assert all(len(indices) for indices in data.split.values())
    if page.stem == "ai4mars":
        assert len(data.split["test"]) == 10
    if page.stem == "sizes":
        assert data.crop == (64, 96)
        assert len(np.unique(data.sizes, axis=0)) > 30
    if page.stem == "folder":
        assert data.unlabelled is not None
        assert data.unlabelled.shape == (4, 48, 64, 3)
