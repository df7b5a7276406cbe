from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.journal import Journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def entries(path):
    return list(Journal(path, writable=False).read_logs(0))


def test_entries_come_back_from_any_number_on(path):
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": 0}, {"n": 1}])
    assert list(journal.read_logs(0)) == [{"n": 0}, {"n": 1}]
    journal.append_logs([{"n": 2, "text": "two\r\nlines \u2028"}])
    assert [entry["n"] for entry in journal.read_logs(2)] == [2]
    assert [entry["n"] for entry in journal.read_logs(1)] == [1, 2]
    assert list(journal.read_logs(3)) == []


def test_optunas_own_backend_reads_it_and_it_reads_theirs(path):
    journal = Journal(path, writable=True)
    ours = optuna.create_study(storage=JournalStorage(journal), study_name="study")
    ours.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    theirs = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="study")
    assert [trial.params for trial in theirs.trials] == [trial.params for trial in ours.trials]
    theirs.set_user_attr("note", "from a dashboard")
    assert ours.user_attrs == {"note": "from a dashboard"}
    ours.set_user_attr("more", 1)
    assert theirs.user_attrs == {"note": "from a dashboard", "more": 1}


@pytest.mark.parametrize("cut", range(1, 9))
def test_an_entry_that_was_cut_short_is_taken_back(cut, path):
    Journal(path, writable=True).append_logs([{"n": 0}, {"n": 1}])
    path.write_bytes(path.read_bytes()[:-cut])
    whole = [{"n": 0}]
    assert entries(path) == whole
    journal = Journal(path, writable=True)
    assert list(journal.read_logs(0)) == whole
    journal.append_logs([{"n": 2}])
    assert list(journal.read_logs(1)) == [{"n": 2}]
    assert entries(path) == [*whole, {"n": 2}]


def test_the_first_entry_may_be_cut_short_too(path):
    path.write_bytes(b'{"n')
    Journal(path, writable=True).append_logs([{"n": 0}])
    assert entries(path) == [{"n": 0}]


def test_what_a_full_disk_took_in_part_is_taken_back(path, monkeypatch):
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": 0}])
    real = os.write

    def write(file, text):
        if len(text) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, text[: len(text) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space left"):
            journal.append_logs([{"n": 1, "text": "x" * 100}])
    assert entries(path) == [{"n": 0}]
    journal.append_logs([{"n": 2}])
    assert list(journal.read_logs(1)) == [{"n": 2}]


def test_a_damaged_entry_is_named(path):
    journal = Journal(path, writable=True)
    for number in range(3):
        journal.append_logs([{"n": number}])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 5 + b"\n" + lines[2])
    with pytest.raises(ValueError, match=r"journal, line 2: damaged .*bring back a copy"):
        entries(path)


def test_a_writer_that_is_killed_leaves_no_lock_behind(path):
    holder = f"""
import os, pathlib, signal
from search.journal import Journal
journal = Journal(pathlib.Path({str(path)!r}), writable=True)
journal._locked().__enter__()
os.write(journal._file, b'{{"n": 7, "te')
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", holder], check=False)
    assert killed.returncode == -signal.SIGKILL
    Journal(path, writable=True).append_logs([{"n": 0}])
    assert path.read_text() == json.dumps({"n": 0}, separators=(",", ":")) + "\n"
