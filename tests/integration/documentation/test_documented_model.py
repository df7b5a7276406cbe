"""The examples of docs/models.md, with a study of the folder that docs/sources/folder.md makes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.integration.conftest import ONE
from tests.processes.scripts import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_the_examples_of_the_page_run(command, tmp_path):
    def python(program: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    (photos,) = blocks("sources/folder.md", "python")
    python(photos)
    done = command("search/run.py", "--data", "photos", "--budget", 1, "--max-epochs", 3, *ONE)
    assert done.returncode == 0, done.stderr
    done = command("reports/run.py", "runs/photos", "--no-retrain")
    assert done.returncode == 0, done.stderr
    shutil.copy(tmp_path / "photos" / "images" / "00.jpg", tmp_path / "image.jpg")

    five_lines, onnx = blocks("models.md", "python")
    assert python(five_lines) == "(48, 64) ('ground', 'red', 'blue')\n"
    shapes = "\nprint(probabilities.shape, labels.shape)"
    assert python(onnx + shapes) == "(1, 3, 48, 64) (1, 48, 64)\n"

    (commands,) = blocks("models.md", "bash")
    for line in commands.splitlines():
        _, script, *arguments = shlex.split(line)
        done = command(script, *arguments)
        assert done.returncode == 0, done.stderr
    masks = sorted((tmp_path / "predicted" / "masks").iterdir())
    assert len(masks) == 40
    assert np.asarray(Image.open(masks[0])).shape == (48, 64)
    assert json.loads((tmp_path / "predicted" / "scores.json").read_text())["images"] == 40
    assert "0 of 40 images" in done.stdout
