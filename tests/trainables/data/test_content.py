"""Folders of files: prepared once, anew when a file changes, and the same on every machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.made.layouts import png, write_coco, write_files
from trainables.data import DataSource, prepare

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(256, size=(12, 6, 8, 3), dtype=np.uint8)
MASKS = RNG.integers(3, size=(12, 6, 8), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(write_files(tmp_path / "photos", IMAGES, MASKS))


@pytest.mark.parametrize("as_uri", [True, False])
def test_a_folder_is_prepared_once(as_uri: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DataSource(uri=folder.as_uri() if as_uri else str(folder))
    data = prepare(source, cache=tmp_path / "cache")
    assert data.name == "photos"
    np.testing.assert_array_equal(data.images, IMAGES)
    np.testing.assert_array_equal(data.masks, MASKS)
    assert data.names == tuple(f"images/{index:03}.png" for index in range(12))
    assert not (data.folder / "scratch").exists()
    monkeypatch.delattr("trainables.data.content.survey")
    assert prepare(source, cache=tmp_path / "cache").folder == data.folder


def test_a_copy_has_the_same_fingerprint(folder: Path, tmp_path: Path) -> None:
    here = prepare(DataSource(uri=str(folder)), cache=tmp_path / "one")
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "photos")
    for file in copy.rglob("*.png"):
        os.utime(file, ns=(1, 1))
    assert prepare(DataSource(uri=str(copy)), cache=tmp_path / "two").fingerprint == here.fingerprint


@pytest.mark.parametrize("what", ["image", "mask", "name", "classes", "split", "to predict", "ignored"])
def test_every_change_changes_the_fingerprint(what: str, folder: Path, tmp_path: Path) -> None:
    before = prepare(DataSource(uri=str(folder)), cache=tmp_path / "cache").fingerprint
    ignored = None
    if what == "image":
        (folder / "images" / "003.png").write_bytes(png(IMAGES[4]))
    elif what == "mask":
        (folder / "masks" / "003.png").write_bytes(png(MASKS[4]))
    elif what == "name":
        for name in ("images", "masks"):
            (folder / name / "003.png").rename(folder / name / "zzz.png")
    elif what == "classes":
        (folder / "classes.yaml").write_text("[{label: 0, name: a}, {label: 1, name: b}, {label: 2, name: c}]")
    elif what == "split":
        (folder / "split.csv").write_text("name,part\n" + "".join(f"{index:03},train\n" for index in range(12)))
    elif what == "to predict":
        (folder / "test" / "images").mkdir(parents=True)
        (folder / "test" / "images" / "a.png").write_bytes(png(IMAGES[0]))
    else:
        ignored = 2
    after = prepare(DataSource(uri=str(folder), ignored_label=ignored), cache=tmp_path / "cache")
    assert after.fingerprint != before


def test_the_users_split_is_taken(folder: Path, tmp_path: Path) -> None:
    parts = ["train"] * 7 + ["val"] * 2 + ["test"] * 3
    rows = "".join(f"{index:03}.png,{part}\n" for index, part in enumerate(parts))
    (folder / "split.csv").write_text("name,part\n" + rows)
    data = prepare(DataSource(uri=str(folder)), cache=tmp_path / "cache")
    assert {part: indices.tolist() for part, indices in data.split.items()} == {
        "train": [0, 1, 2, 3, 4, 5, 6],
        "val": [7, 8],
        "test": [9, 10, 11],
    }
    assert data.report.split_name == "given split"


def test_parts_that_the_user_does_not_give_are_drawn(folder: Path, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (folder / "test" / name).mkdir(parents=True)
        for index in range(2):
            (folder / name / f"{index:03}.png").rename(folder / "test" / name / f"{index:03}.png")
    data = prepare(DataSource(uri=str(folder)), cache=tmp_path / "cache")
    assert data.names is not None
    assert [data.names[index] for index in data.split["test"]] == ["test/images/000.png", "test/images/001.png"]
    assert sorted(np.concatenate(list(data.split.values())).tolist()) == list(range(12))
    assert len(data.split["val"]) == 1


def test_a_file_of_annotations_is_read_anew_when_an_image_changes(tmp_path: Path) -> None:
    (tmp_path / "boxes").mkdir()
    write_coco(tmp_path / "boxes", IMAGES, MASKS)
    source = DataSource(uri=str(tmp_path / "boxes" / "annotations.json"))
    before = prepare(source, cache=tmp_path / "cache").fingerprint
    (tmp_path / "boxes" / "images" / "003.png").write_bytes(png(IMAGES[4]))
    assert prepare(source, cache=tmp_path / "cache").fingerprint != before
