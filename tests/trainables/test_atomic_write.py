from __future__ import annotations

import pytest

from trainables.atomic_write import atomic_write


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with atomic_write(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
        assert new.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as new:
            new.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_appears_complete_or_not_at_all(complete, tmp_path):
    folder = tmp_path / "prepared"

    def write() -> None:
        with atomic_write(folder) as new:
            new.mkdir()
            (new / "images.npy").write_text("1")
            if not complete:
                raise OSError("disk full")

    if complete:
        write()
        assert (folder / "images.npy").read_text() == "1"
    else:
        with pytest.raises(OSError, match="disk full"):
            write()
    assert list(tmp_path.iterdir()) == ([folder] if complete else [])


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "plan.json"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first"  # the outer one ends last


def test_an_error_names_the_target(tmp_path):
    path = tmp_path / "page.html"
    path.mkdir()
    with pytest.raises(IsADirectoryError) as raised, atomic_write(path) as new:
        new.write_text("new")
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]
