"""Damaged sources of every layout are read, or refused with a ValueError that names them; no other error gets out."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.made.damage import damaged_bytes
from tests.made.layouts import LAYOUTS
from trainables.data.content import read_source
from trainables.data.source import DataSource

IMAGES = np.random.default_rng(3).integers(256, size=(10, 12, 16), dtype=np.uint8)
MASKS = np.random.default_rng(4).integers(4, size=(10, 12, 16), dtype=np.uint8)
LISTS = (".npz", ".json", ".parquet", ".yaml")
"""The files on which the whole source depends: they are damaged more often than others."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_bytes(layout: str, tmp_path: Path) -> None:
    refused = 0
    for seed in range(12):
        draw = random.Random(seed)
        (source := tmp_path / f"{seed}").mkdir()
        uri = LAYOUTS[layout](source, IMAGES, MASKS)
        files = sorted(path for path in source.rglob("*") if path.is_file())
        chosen = draw.choice([path for path in files if path.suffix in LISTS and draw.random() < 0.8] or files)
        chosen.write_bytes(damaged_bytes(chosen.read_bytes(), draw))
        (arrays := tmp_path / f"arrays{seed}").mkdir()
        try:
            read_source(DataSource(uri=uri), arrays)
        except ValueError as error:
            assert str(source) in str(error)  # noqa: PT017 - it may also be read
            refused += 1
    assert refused > 0
