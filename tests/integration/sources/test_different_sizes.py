"""A folder of photographs of different sizes: search, report and predicted masks, by the commands of the docs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.ledger.ledger import Ledger
from tests.integration.conftest import ONE, Command
from tests.made.layouts import png, write_files

SIZES = [(1200, 1600), (200, 300), (240, 310), (300, 200), (310, 333), (256, 256), (201, 303), (210, 300)]
PARTS = ["train"] * 5 + ["val", "test", "test"]
TO_PREDICT = {"small": (90, 128), "large": (480, 640)}


def photograph(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an RGB image of three kinds of ground, told apart by colour, and its mask."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(3, size=(4, 5)).astype(np.uint8)
    mask = np.array(Image.fromarray(cells).resize(size[::-1], Image.Resampling.NEAREST))
    colours = np.array([(60, 60, 160), (60, 160, 60), (160, 60, 60)])
    return (colours[mask] + rng.integers(-30, 30, (*size, 1))).astype(np.uint8), mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images, masks = zip(*(photograph(size, seed) for seed, size in enumerate(SIZES)), strict=True)
    root = Path(write_files(tmp_path / "photos", images, masks))
    parts = "".join(f"{index:03}.png,{part}\n" for index, part in enumerate(PARTS))
    (root / "split.csv").write_text("name,part\n" + parts)
    (root / "test" / "images").mkdir(parents=True)
    for name, size in TO_PREDICT.items():
        (root / "test" / "images" / f"{name}.png").write_bytes(png(photograph(size, 99)[0]))
    return root


@pytest.mark.slow
def test_photographs_of_different_sizes_from_search_to_masks(command: Command, folder: Path, tmp_path: Path) -> None:
    searched = command(
        *("search/run.py", "--data", folder, "--name", "study", "--budget", "1", "--max-epochs", "1", *ONE),
        *("--crop", "96x128"),
    )
    assert searched.returncode == 0, searched.stderr
    assert "8 labelled images of 200x200 to 1200x1600 pixels, 3 channels (" in searched.stdout
    assert "trained on crops of 96x128 (the size that was chosen for the study)" in searched.stdout
    ledger = Ledger.open(tmp_path / "runs" / "study")
    assert ledger.settings["crop"] == [96, 128]
    scores = [record.score for record in ledger.records()]
    assert all(score is not None and 0 < score <= 1 for score in scores)

    reported = command("reports/run.py", "runs/study", "--no-retrain", "--no-onnx")
    assert reported.returncode == 0, reported.stderr
    report = tmp_path / "runs" / "study" / "report"
    for name, size in TO_PREDICT.items():
        with Image.open(io.BytesIO((report / "masks" / f"{name}.png").read_bytes())) as mask:
            assert mask.size == size[::-1]
            assert set(np.unique(np.array(mask))) <= {0, 1, 2}
    assert json.loads((report / "predictor.json").read_text())["members"]
