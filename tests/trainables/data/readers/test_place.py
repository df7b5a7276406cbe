"""The files of a folder on a disk, whatever their names and wherever its links lead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainables.data.readers.place import Place


def test_links_to_a_folder_above_are_not_followed_and_others_are(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "a.png").touch()
    (tmp_path / "elsewhere" / "b.png").touch()
    (tmp_path / "data" / "sub" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "sub" / "self").symlink_to(tmp_path / "data" / "sub")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "c.png").symlink_to(tmp_path / "data" / "a.png")
    assert list(Place(str(tmp_path / "data")).files) == ["a.png", "c.png", "linked/b.png"]


def test_a_name_that_is_not_utf8_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"x\xff.png")).touch()
    with pytest.raises(ValueError, match=r"/x\\xff\.png': its name is not UTF-8: rename it$"):
        _ = Place(str(tmp_path)).files
