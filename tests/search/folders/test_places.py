from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from search.folders import places
from search.folders.places import (
    Place,
    check_writable,
    errors_explained,
    existing,
    explained_by,
    reason,
    study_not_written,
)


def error_of(number, path=None):
    return OSError(number, os.strerror(number), *([] if path is None else [str(path)]))


def test_an_error_names_its_file_and_what_changes_the_folder(tmp_path):
    place = Place(tmp_path, "set X to another folder")
    with pytest.raises(ValueError) as caught, errors_explained(place):
        (tmp_path / "no" / "file").write_text("x")
    assert str(caught.value) == (
        f"{tmp_path}/no/file: cannot be used (No such file or directory); set X to another folder"
    )
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_other_errors_stay(tmp_path):
    with pytest.raises(FileNotFoundError), errors_explained(Place(tmp_path / "a", "set X")):
        (tmp_path / "ab").read_text()
    with pytest.raises(OSError, match="descriptor"), errors_explained(Place(tmp_path, "set X")):
        os.fstat(12345)


def test_the_innermost_folder_counts(tmp_path):
    outer, inner = Place(tmp_path, "set OUTER"), Place(tmp_path / "in", "set INNER")
    for order in ([outer, inner], [inner, outer]):
        assert str(explained_by(error_of(errno.EACCES, tmp_path / "in" / "x"), order)).endswith("; set INNER")
        assert str(explained_by(error_of(errno.EACCES, tmp_path / "x"), order)).endswith("; set OUTER")


def test_paths_are_compared_whatever_their_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for folder, named in (("runs", tmp_path / "runs" / "a"), (tmp_path / "runs", "runs/a"), ("link", "real/a")):
        assert explained_by(error_of(errno.EACCES, named), [Place(Path(folder), "set X")]) is not None
    assert explained_by(OSError(errno.EACCES, "denied", b"runs/a"), [Place(Path("runs"), "set X")]) is not None


def test_a_full_disk_is_found_where_the_error_names_no_file(tmp_path, monkeypatch):
    place = Place(tmp_path / "new", "set X")
    assert explained_by(error_of(errno.ENOSPC), [place]) is None  # this one has room
    monkeypatch.setattr(places, "ROOM", 2**80)
    assert str(explained_by(error_of(errno.ENOSPC), [place])) == (
        f"{tmp_path}/new: cannot be used (No space left on device); free some space, or set X"
    )
    assert explained_by(error_of(errno.EACCES), [place]) is None


def test_a_study_that_cannot_be_written_names_the_option():
    assert str(study_not_written("runs/a", error_of(errno.EROFS))) == (
        "runs/a: cannot write the study there (Read-only file system); give another place with --storage"
    )
    assert "free some space, or give another" in str(study_not_written("runs/a", error_of(errno.ENOSPC)))


def test_reasons_are_a_few_words():
    assert reason(OSError(13, "Failed to open local file '/x/y'. Detail: [errno 13] Permission denied")) == (
        "Permission denied"
    )
    assert reason(OSError("the disk is gone")) == "the disk is gone"


def test_what_can_be_written_is_tried_and_left_as_it_was(tmp_path):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError) as caught:
        check_writable(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_the_nearest_folder_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert existing(tmp_path / "a" / "b") == tmp_path
    assert existing(Path("a/b")) == tmp_path
    assert existing(tmp_path) == tmp_path
