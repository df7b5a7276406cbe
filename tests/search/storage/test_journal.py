from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.storage.journal import Journal, JournalLost


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


def test_the_lock_is_held_for_the_write_alone(path, monkeypatch):
    """Also when it fails."""
    journal, other = Journal(path, writable=True), path.open("rb")

    def is_free():
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(other, fcntl.LOCK_UN)
        return True

    held, real = [], os.write

    def write(file, text):
        held.append(not is_free())
        if b"full" in text:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, text)

    monkeypatch.setattr(os, "write", write)
    journal.append_logs([{"n": 0}])
    assert is_free()
    with pytest.raises(OSError, match="No space left"):
        journal.append_logs([{"n": "full"}])
    assert is_free()
    assert held == [True, True]


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


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda path: path.unlink(), "moved or deleted"),
        (lambda path: path.rename(path.with_name("elsewhere")), "moved or deleted"),
        (lambda path: path.parent.rename(path.parent.with_name("renamed")), "moved or deleted"),
        (lambda path: shutil.copy(path, path.with_name("copy")).replace(path), "replaced"),
        (lambda path: os.truncate(path, 3), "truncated"),
        (lambda path: path.write_bytes(b""), "truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"{garbage}\n"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes() + b"[" * 10**5 + b"\n"), "damaged"),
    ],
)
def test_a_file_that_somebody_has_changed_takes_nothing_more(change, what, tmp_path):
    """What is known of it stays known: the run that writes to it can still say how far it came."""
    path = tmp_path / "study" / "journal"
    path.parent.mkdir()
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": 1}])
    assert list(journal.read_logs(0)) == [{"n": 1}]
    change(path)
    left = [(file, file.read_bytes()) for file in sorted(tmp_path.rglob("*")) if file.is_file()]
    assert list(journal.read_logs(1)) == []
    with pytest.raises(JournalLost, match=f"{what} while the search ran"):
        journal.append_logs([{"n": 2}])
    assert [(file, file.read_bytes()) for file in sorted(tmp_path.rglob("*")) if file.is_file()] == left


def test_what_another_writer_adds_is_taken_in(path):
    one, other = Journal(path, writable=True), Journal(path, writable=True)
    one.append_logs([{"n": 0}])
    assert list(one.read_logs(0)) == [{"n": 0}]
    other.append_logs([{"n": 1}])
    one.append_logs([{"n": 2}])
    assert list(one.read_logs(1)) == [{"n": 1}, {"n": 2}]


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
    assert path.read_bytes() == b'{"n":0}\n'
    journal.append_logs([{"n": 2}])
    assert list(journal.read_logs(1)) == [{"n": 2}]


def test_a_damaged_entry_is_named(path):
    journal = Journal(path, writable=True)
    for number in range(3):
        journal.append_logs([{"n": number}])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 5 + b"\n" + lines[2])
    with pytest.raises(ValueError, match=r"journal, line 2: damaged .*restore a copy"):
        entries(path)


def test_a_writer_that_is_killed_leaves_no_lock_behind(path):
    holder = f"""
import os, pathlib, signal
from search.storage.journal import Journal
journal = Journal(pathlib.Path({str(path)!r}), writable=True)
journal._locked().__enter__()
os.write(journal._file, b'{{"n": 7, "te')
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", holder], check=False)
    assert killed.returncode == -signal.SIGKILL
    Journal(path, writable=True).append_logs([{"n": 0}])
    assert path.read_text() == json.dumps({"n": 0}, separators=(",", ":")) + "\n"


def test_a_damaged_entry_behind_others_is_counted_from_the_files_first_line(path):
    Journal(path, writable=True).append_logs([{"n": 0}, {"n": 1}])
    journal = Journal(path, writable=False)
    assert [entry["n"] for entry in journal.read_logs(0)] == [0, 1]
    with path.open("ab") as file:
        file.write(b'{"n": 2}\n{"n": \n')
    read = journal.read_logs(2)
    assert next(read) == {"n": 2}
    with pytest.raises(ValueError, match=r"journal, line 4: damaged .*, which loses all entries after it"):
        next(read)


def test_two_writers_add_behind_each_other(path):
    one, other = Journal(path, writable=True), Journal(path, writable=True)
    one.append_logs([{"n": 0}])
    other.append_logs([{"n": 1}])
    one.append_logs([{"n": 2}, {"n": 3}])
    for journal in (one, other):
        assert [entry["n"] for entry in journal.read_logs(0)] == [0, 1, 2, 3]
        assert [entry["n"] for entry in journal.read_logs(4)] == []
    other.append_logs([{"n": 4}])
    assert [entry["n"] for entry in one.read_logs(4)] == [4]


@pytest.mark.parametrize("read_before", [0, 1, 3])
def test_what_another_writer_left_in_part_is_cut_off_however_much_was_read(read_before, path):
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": number} for number in range(read_before)])
    list(journal.read_logs(0))
    Journal(path, writable=True).append_logs([{"n": "by another"}])
    with path.open("ab") as file:
        file.write(b'{"n": "by anoth')
    journal.append_logs([{"n": "mine"}])
    expected = [*range(read_before), "by another", "mine"]
    assert [entry["n"] for entry in entries(path)] == expected
    assert [entry["n"] for entry in journal.read_logs(read_before)] == expected[read_before:]


def test_reading_again_from_the_beginning_or_the_middle_gives_the_same(path):
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": number} for number in range(5)])
    for start in (0, 5, 3, 5, 0, 1, 5):
        assert [entry["n"] for entry in journal.read_logs(start)] == list(range(start, 5))


def test_a_reader_asks_for_what_is_new_only(path, monkeypatch):
    journal = Journal(path, writable=True)
    journal.append_logs([{"n": 0}])
    list(journal.read_logs(0))
    journal.append_logs([{"n": 1}])
    asked, real = [], os.pread

    def pread(file, size, offset):
        asked.append((size, offset))
        return real(file, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    list(journal.read_logs(1))
    assert asked == [(len('{"n":1}\n'), len('{"n":0}\n'))]


def test_entries_are_one_line_each_without_blanks(path):
    Journal(path, writable=True).append_logs([{"n": 0, "text": "a\nb"}, {"m": [1, 2]}])
    assert path.read_bytes() == b'{"n":0,"text":"a\\nb"}\n{"m":[1,2]}\n'


def test_a_reader_needs_the_file_and_leaves_it_as_it_is(path):
    with pytest.raises(FileNotFoundError):
        Journal(path, writable=False)
    path.write_bytes(b'{"n":0}\n{"n')
    reader = Journal(path, writable=False)
    assert list(reader.read_logs(0)) == [{"n": 0}]
    assert path.read_bytes() == b'{"n":0}\n{"n'
    with pytest.raises(OSError, match=r"Invalid argument|Bad file descriptor"):
        reader.append_logs([{"n": 1}])


def test_an_entry_is_on_the_disk_after_a_second_at_the_next_entry(path, monkeypatch):
    now, synced = [100.0], []
    monkeypatch.setattr("search.storage.journal.time.monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((now[0], len(path.read_bytes().splitlines()))))
    journal = Journal(path, writable=True)
    for now[0] in (100.5, 101.0, 101.25, 101.5, 102.25, 102.5, 109.0):
        journal.append_logs([{}])
    # More than a second after the journal was opened, and then after each time before; its own entry is in it.
    assert synced == [(101.25, 3), (102.5, 6), (109.0, 7)]


def test_a_disk_that_takes_a_part_at_a_time_gets_the_whole_entry(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, text: real(file, text[:3]))
    Journal(path, writable=True).append_logs([{"n": 0}, {"n": 1, "text": "longer"}])
    assert path.read_bytes() == b'{"n":0}\n{"n":1,"text":"longer"}\n'
