from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from search.locking.folder_lock import LOCK, OWNER, describe, driver_of, is_run_by, study_lock


@pytest.fixture
def holder(hold, tmp_path):
    return hold(tmp_path / "study")


def test_a_second_driver_is_refused_and_told_of_the_first(holder, tmp_path):
    expected = rf"study 'study' is run by .* on .* \(process {holder.pid}\) since 20.*: wait, or give another --name"
    with pytest.raises(ValueError, match=expected), study_lock(tmp_path / "study"):
        pass
    (tmp_path / "study" / OWNER).write_text("")
    with pytest.raises(ValueError, match="is run by another driver"), study_lock(tmp_path / "study"):
        pass


def test_the_lock_of_a_killed_driver_is_free(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "study" / OWNER).exists()
    with study_lock(tmp_path / "study"):
        assert str(os.getpid()) in (tmp_path / "study" / OWNER).read_text()
    assert not (tmp_path / "study" / OWNER).exists()


def test_an_unwritable_folder_is_refused():
    with pytest.raises(ValueError, match="cannot write"), study_lock(Path("/proc/study")):
        pass


def test_the_owner_is_this_process_for_as_long_as_it_holds_the_study(tmp_path, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    folder = tmp_path / "runs" / "study"
    with study_lock(folder):
        owner = json.loads((folder / OWNER).read_text())
        since = datetime.fromisoformat(owner.pop("since"))
        assert owner == {"user": "alice", "host": "node7", "process": os.getpid()}
        assert since.tzinfo is not None
        assert since.microsecond == 0
        assert timedelta(0) <= datetime.now(UTC) - since < timedelta(minutes=5)
    assert not (folder / OWNER).exists()


def test_the_lock_is_free_after_a_run_also_one_that_broke(tmp_path):
    with pytest.raises(RuntimeError, match="boom"), study_lock(tmp_path):
        raise RuntimeError("boom")
    assert (tmp_path / OWNER).exists()  # as after a kill: whoever comes next writes its own
    assert driver_of(tmp_path) is None
    with study_lock(tmp_path):
        (tmp_path / OWNER).unlink()  # somebody tidies up
    assert driver_of(tmp_path) is None


def test_who_runs_a_study_is_known_from_outside(holder, tmp_path):
    folder = tmp_path / "study"
    driver = driver_of(folder)
    assert driver is not None
    assert driver["process"] == holder.pid
    assert driver == json.loads((folder / OWNER).read_text())
    for unreadable in ("", "{"):
        (folder / OWNER).write_text(unreadable)
        assert driver_of(folder) == {}
    (folder / OWNER).unlink()
    assert driver_of(folder) == {}
    holder.communicate()
    assert driver_of(folder) is None
    with study_lock(folder):  # asking did not take it
        pass


def test_drivers_in_words():
    driver = {"user": "alice", "host": "node7", "process": 12, "since": "2024-05-01T12:00:00+02:00"}
    words = "alice on node7 (process 12) since 2024-05-01T12:00:00+02:00"
    assert describe(driver) == words
    assert describe({}) == "another driver"
    assert is_run_by("mars", driver) == f"study 'mars' is run by {words}: wait, or give another --name"


def test_why_a_folder_cannot_be_written_is_said():
    expected = r"^/proc/study: cannot write the study there \(No such file or directory\); give another"
    with pytest.raises(ValueError, match=expected), study_lock(Path("/proc/study")):
        pass


def test_a_lock_that_fails_without_a_reason_is_explained_by_its_own_words(tmp_path, monkeypatch):
    def fails(self, **_):
        raise OSError("no locks here")

    monkeypatch.setattr("search.locking.folder_lock.FileLock.acquire", fails)
    with (
        pytest.raises(ValueError, match=r"cannot write the study there \(no locks here\); "),
        study_lock(tmp_path),
    ):
        pass


def test_a_full_disk_leaves_the_lock_free(tmp_path, monkeypatch):
    def full(self, name, text):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("search.locking.folder_lock.SmallFiles.write", full)
        with pytest.raises(ValueError, match="No space left on device"), study_lock(tmp_path):
            pass
    with study_lock(tmp_path):
        pass


def test_asking_for_the_driver_makes_no_file_and_needs_none(tmp_path):
    for folder in (tmp_path, tmp_path / "none", tmp_path / LOCK):
        assert driver_of(folder) is None
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_begins_while_somebody_asks_is_not_refused(tmp_path):
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        with study_lock(tmp_path):
            pass


@pytest.mark.parametrize("since", ["yesterday", "2024-05-01T12:00:00+02:00"])
def test_what_an_earlier_driver_wrote_names_no_other_process(since, holder, tmp_path):
    """Its number may be another process's by now, which --stop would signal."""
    folder = tmp_path / "study"
    mine = json.loads((folder / OWNER).read_text())
    (folder / OWNER).write_text(json.dumps(mine | {"process": os.getpid(), "since": since}))
    assert driver_of(folder) == {}
    elsewhere = mine | {"host": "node9", "since": "2024-05-01T12:00:00+02:00"}
    (folder / OWNER).write_text(json.dumps(elsewhere))
    assert driver_of(folder) == elsewhere


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"user": "x"}', '{"since": 3}', '{"process": -4}'])
def test_an_owner_that_no_driver_wrote_is_none(content, holder, tmp_path):
    (tmp_path / "study" / OWNER).write_text(content)
    assert driver_of(tmp_path / "study") == {}
    mine = {"user": "x", "host": socket.gethostname(), "process": -4, "since": "2024-05-01T12:00:00+02:00"}
    (tmp_path / "study" / OWNER).write_text(json.dumps(mine))
    assert driver_of(tmp_path / "study") == {}
    (tmp_path / "study" / OWNER).write_text(json.dumps(mine | {"process": "x"}))
    assert driver_of(tmp_path / "study") == {}
