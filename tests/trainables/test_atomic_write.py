from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainables.atomic_write import atomic_folder, atomic_write, clear_leftovers, is_temporary, temporary


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


def killed_while_it_writes(target, *, folder=False):
    """Kill a process in the middle of a write, and return its process id."""
    make = "new.mkdir(); new = new / 'part'" if folder else "pass"
    code = (
        "import os, pathlib, sys\n"
        "from trainables.atomic_write import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as new:\n"
        f"    {make}\n"
        "    new.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], cwd=Path(__file__).parents[2])
    assert process.wait(60) == -9
    return process.pid


@pytest.mark.parametrize("folder", [False, True])
def test_the_next_writer_deletes_what_a_killed_one_left(folder, tmp_path):
    target = tmp_path / "submission.csv"
    killed_while_it_writes(target, folder=folder)
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"submission\.csv\.[0-9a-f]{32}", left.name)
    with atomic_write(target) as new:
        assert list(tmp_path.iterdir()) == []
        new.write_text("whole")
    assert list(tmp_path.iterdir()) == [target]


def test_all_leftovers_of_a_folder_can_be_deleted(tmp_path):
    for name in ("a.csv", "b.pt"):
        killed_while_it_writes(tmp_path / name)
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    clear_leftovers(tmp_path / "missing")


def aged(path, hours):
    then = time.time() - hours * 3600
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def test_only_what_is_surely_left_is_deleted(tmp_path):
    target, other = tmp_path / "page.html", tmp_path / "page"
    elsewhere = "0123456789abcdef"  # another machine: whether its process runs cannot be seen
    kept = [
        temporary(target),  # of this process, which runs
        tmp_path / f"page.html.{elsewhere}00000001{'a' * 8}",
        aged(_touched(tmp_path / "page.html.backup"), 100),
        aged(_touched(tmp_path / f"page.html.{'a' * 31}"), 100),
        aged(_touched(temporary(other)), 1),
    ]
    for path in kept:
        path.touch()
    old = [aged(_touched(tmp_path / f"page.html.{elsewhere}00000001{'b' * 8}"), 25)]
    aged(kept[2], 100)
    clear_leftovers(tmp_path, target.name)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert not old[0].exists()


def _touched(path):
    path.touch()
    return path


def test_a_link_is_deleted_and_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    link = tmp_path / f"page.html.{'0' * 32}"
    link.symlink_to(precious)
    aged(link, 25)
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [precious]
    assert (precious / "file").exists()


def test_temporary_names_are_recognised(tmp_path):
    assert is_temporary(temporary(tmp_path / "last.pt").name)
    assert not is_temporary("last.pt")
    assert len({temporary(tmp_path / "last.pt") for _ in range(9)}) == 9


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("earlier")
    rename = Path.rename

    def fail(path, target):
        if (path / "new").exists():
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "model") as new:
        (new / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_text() == "earlier"
