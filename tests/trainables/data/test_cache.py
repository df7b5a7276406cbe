"""When the cache is read, when it is written, and what an interrupted write leaves there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data import DataSource, PreparedData, prepare
from trainables.data.sizes.npy_files import NpyWriter
from trainables.data.source import SourceFile

MODULE = sys.modules[prepare.__module__]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    pairs = np.full((10, 2, 2, 3), 90, np.uint8)
    pairs[:, 1] = 1
    np.savez(tmp_path / "d.npz", training_set=pairs)
    return DataSource(uri=str(tmp_path / "d.npz"))


def entries(cache: Path) -> set[str]:
    """The kinds of what is in the cache: "" for a folder of data."""
    return {path.suffix for path in cache.iterdir()}


def test_a_file_that_did_not_change_is_not_opened_again(source, cache, monkeypatch):
    folder = prepare(source, cache=cache).folder
    assert entries(cache) == {"", ".known", ".lock"}
    with monkeypatch.context() as patch:
        patch.delattr(SourceFile, "open")
        assert prepare(source, cache=cache).folder == folder


def test_a_file_that_was_only_touched_is_not_decoded_again(source, cache, monkeypatch):
    folder = prepare(source, cache=cache).folder
    os.utime(source.uri, ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.delattr("trainables.data.content.read_npz")
        assert prepare(source, cache=cache).folder == folder


def test_the_same_content_under_another_name_is_kept_once(source, cache, tmp_path):
    copy = tmp_path / "other.npz"
    copy.write_bytes(Path(source.uri).read_bytes())
    other = prepare(DataSource(uri=str(copy)), cache=cache)
    assert other.folder == prepare(source, cache=cache).folder
    assert other.name == "other"


def test_data_that_was_deleted_from_the_cache_is_prepared_anew(source, cache):
    folder = prepare(source, cache=cache).folder
    folder.rename(cache.with_name("moved"))
    assert prepare(source, cache=cache).folder == folder
    assert folder.is_dir()


def test_who_waited_for_the_lock_takes_what_the_other_process_made(source, cache, monkeypatch):
    class LockOfTheSecond:
        """The first one is done as soon as the second has the lock."""

        def __init__(self, path: Path):
            monkeypatch.undo()

        def __enter__(self) -> None:
            self.written = prepare(source, cache=cache).folder.stat().st_ino

        def __exit__(self, *_: Any) -> None:
            inodes.append(self.written)

    inodes: list[int] = []
    monkeypatch.setattr(MODULE, "FileLock", LockOfTheSecond)
    assert prepare(source, cache=cache).folder.stat().st_ino == inodes[0]


def test_only_what_was_left_behind_of_the_same_data_is_removed(source, cache):
    folder = prepare(source, cache=cache).folder
    folder.rename(cache / f"{folder.name}.0123")
    others = [cache / "fedcba-1.0123", cache / "fedcba-1"]
    for other in others:
        other.mkdir()
    prepare(source, cache=cache)
    assert sorted(path for path in cache.iterdir() if path.is_dir()) == sorted([folder, *others])


def test_what_was_left_behind_and_cannot_be_removed_is_left_alone(source, cache, tmp_path):
    folder = prepare(source, cache=cache).folder
    folder.rename(tmp_path / "moved")
    link = cache / f"{folder.name}.0123"
    link.symlink_to(tmp_path / "moved")  # a link is no folder to remove
    assert prepare(source, cache=cache).folder == folder
    assert link.is_symlink()
    assert (tmp_path / "moved" / "meta.json").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("broken", ["counts.npy", "meta.json", ".known"])
def test_a_write_that_is_cut_short_leaves_nothing(error, broken, source, cache, monkeypatch):
    close, write_text = NpyWriter.__exit__, Path.write_text

    def cut_short(path: Any, write: Any, *content: Any) -> None:
        write(path, *content)
        if broken in str(getattr(path, "path", path)):
            raise error

    monkeypatch.setattr(NpyWriter, "__exit__", lambda writer, *raised: cut_short(writer, close, *raised))
    monkeypatch.setattr(Path, "write_text", lambda path, text, encoding: cut_short(path, write_text, text, encoding))
    with pytest.raises(ValueError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
        prepare(source, cache=cache)
    if isinstance(error, OSError):
        assert str(raised.value) == (
            f"{cache}: prepared data cannot be kept there (No space left on device); "
            "set MARS_SEARCH_CACHE to another folder"
        )
    assert entries(cache) == ({"", ".lock"} if broken == ".known" else {".lock"})
    monkeypatch.undo()
    assert len(prepare(source, cache=cache).images) == 10


def test_an_error_without_a_number_is_told_in_its_own_words(source, cache, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError("the disk is on fire")

    monkeypatch.setattr(NpyWriter, "write", refuse)
    with pytest.raises(
        ValueError, match=r"cannot be kept there \(the disk is on fire\); set MARS_SEARCH_CACHE to another"
    ):
        prepare(source, cache=cache)


def test_the_cache_may_be_several_folders_deep_and_is_no_file(source, tmp_path):
    assert prepare(source, cache=tmp_path / "a" / "b").folder.parent == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    with pytest.raises(ValueError) as refused:
        prepare(source, cache=tmp_path / "file")
    assert str(refused.value) == (
        f"{tmp_path / 'file'}: prepared data cannot be kept there (File exists); "
        "set MARS_SEARCH_CACHE to another folder"
    )


@pytest.mark.parametrize("variable", ["", None])
def test_the_cache_is_in_the_users_home_where_the_environment_names_none(variable, source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable is None:
        monkeypatch.delenv("MARS_SEARCH_CACHE")
    else:
        monkeypatch.setenv("MARS_SEARCH_CACHE", variable)
    assert prepare(source).folder.parent == tmp_path / ".cache" / "mars-search"


def test_a_cache_that_is_given_goes_before_that_of_the_environment(source, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("MARS_SEARCH_CACHE", str(tmp_path / "other"))
    assert prepare(source=source, cache=cache).folder.parent == cache
    assert not (tmp_path / "other").exists()
    with pytest.raises(TypeError):
        prepare(source, cache)


@pytest.mark.parametrize("text", ["{", "{}", '{"sizes": {"images.npy": 1}}', '{"sizes": {"gone.npy": 1}}'])
def test_data_whose_list_of_files_does_not_hold_is_made_anew(text, source, cache):
    folder = prepare(source, cache=cache).folder
    good = (folder / "meta.json").read_text()
    (folder / "meta.json").write_text(text)
    assert prepare(source, cache=cache).folder == folder
    assert (folder / "meta.json").read_text() == good


def test_a_new_format_prepares_anew_what_is_known(source, cache, monkeypatch):
    old = prepare(source, cache=cache).folder
    monkeypatch.setattr(MODULE, "FORMAT", "next")
    new = prepare(source, cache=cache).folder
    assert old.name.removesuffix("-4") == new.name.removesuffix("-next")
    assert new.name.endswith("-next")


@pytest.mark.parametrize(("name", "message"), [("images", "Python objects"), ("counts", "allow_pickle")])
def test_pickled_objects_are_never_loaded_from_the_cache(name, message, source, cache):
    data = prepare(source, cache=cache)
    path = data.folder / f"{name}.npy"
    np.save(path, np.load(path).astype(object), allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        _ = PreparedData(data.folder, source).report
