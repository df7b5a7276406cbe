"""A data set of any layout becomes a file that is read alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.made.layouts import LAYOUTS, npy, png, write_files
from tests.processes.scripts import ROOT
from trainables.data import DataSource, prepare
from trainables.data.convert import convert

RNG = np.random.default_rng(0)
MASKS = RNG.integers(4, size=(16, 6, 8), dtype=np.uint8)
MASKS[:, 0, :4], MASKS[:, -1] = np.arange(4), 255
IMAGES = RNG.integers(256, size=(16, 6, 8), dtype=np.uint8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = DataSource(uri=LAYOUTS[layout](tmp_path / "source", IMAGES, MASKS))
    convert(source, tmp_path / "one.npz")
    before = prepare(source, cache=tmp_path / "cache")
    after = prepare(DataSource(uri=str(tmp_path / "one.npz")), cache=tmp_path / "cache")
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.masks, before.masks)
    assert after.pixels == before.pixels
    assert after.names == before.names
    assert after.description.class_names == before.description.class_names
    assert after.description.ignored_label == before.description.ignored_label
    assert {part: indices.tolist() for part, indices in after.split.items()} == {
        part: indices.tolist() for part, indices in before.split.items()
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("one.npz")] == ["one.npz"]


def test_floats_channels_and_images_to_predict(tmp_path: Path) -> None:
    images = RNG.normal(size=(16, 6, 8, 5)).astype(np.float32)
    folder = Path(write_files(tmp_path / "source", images, MASKS, npy))
    (folder / "test" / "images").mkdir(parents=True)
    (folder / "test" / "images" / "z.npy").write_bytes(npy(images[0]))
    convert(DataSource(uri=str(folder)), tmp_path / "one.npz")
    before = prepare(DataSource(uri=str(folder)), cache=tmp_path / "cache")
    after = prepare(DataSource(uri=str(tmp_path / "one.npz")), cache=tmp_path / "cache")
    np.testing.assert_array_equal(after.images, before.images)
    assert after.unlabelled is not None
    np.testing.assert_array_equal(after.unlabelled[0], before.images[0])
    assert after.unlabelled_names == ("test/images/z.npy",)
    assert after.pixels.mean == pytest.approx(before.pixels.mean, abs=1e-6)


def test_the_command(tmp_path: Path) -> None:
    write_files(tmp_path / "photos", IMAGES, MASKS, png)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trainables.data.convert", *arguments]
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)

    done = run("photos", "photos.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wrote photos.npz: 16 images of 6x8 with masks of 5 classes\n  the masks hold 0, 1")
    for arguments, message in (
        (("photos", "photos.npz"), "error: photos.npz: exists; give another name, or delete it\n"),
        (("photos", "photos.zip"), "error: photos.zip: must end in .npz\n"),
        (("gone", "new.npz"), "error: gone: no such file or folder\n"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (2, message)
