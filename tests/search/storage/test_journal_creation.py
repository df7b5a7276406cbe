"""A study begins whole or not at all, and what a start that broke has left keeps no later one out."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from search.ledger.ledger import Ledger
from search.storage.journal import Journal
from search.storage.journal_creation import begin_journal, has_begun
from search.storage.location import FILE
from tests.made.studies import begin

FIRST = b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[2]}\n'


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("left", [b"", *(FIRST[:cut] for cut in range(1, len(FIRST), 9)), FIRST[:-1]])
def test_a_study_whose_first_entry_was_cut_begins(left, tmp_path, space):
    (tmp_path / FILE).write_bytes(left)
    assert Ledger.find(tmp_path) is None
    told = []
    begin(Ledger.create(tmp_path, tell=told.append), space)
    found = Ledger.find(tmp_path)
    assert found is not None
    assert [record.number for record in found.records()] == [0]
    kept = [path for path in tmp_path.iterdir() if path.name != FILE]
    assert [path.read_bytes() for path in kept] == ([left] if left else [])
    assert len(told) == len(kept)
    assert all(kept[0].name in text for text in told)


@pytest.mark.parametrize("nothing", [b"\0" * 5000, b"\n", b" \n\0\r\n\t"])
def test_what_says_nothing_is_not_kept(nothing, tmp_path):
    (tmp_path / FILE).write_bytes(nothing)
    assert Ledger.find(tmp_path) is None
    Ledger.create(tmp_path, tell=pytest.fail)
    assert files(tmp_path) == [FILE]


def test_two_starts_that_broke_are_both_kept(tmp_path):
    for _ in range(2):
        (tmp_path / FILE).write_bytes(b'{"op')
        Ledger.create(tmp_path, tell=lambda text: None)
    assert [path.read_bytes() for path in tmp_path.glob("*.damaged-*")] == [b'{"op', b'{"op']


def test_a_journal_with_a_whole_entry_has_begun_be_it_damaged(tmp_path):
    path = tmp_path / FILE
    for content in (FIRST, b"\0\0" + FIRST, b"\n" + FIRST + b'{"op', b"nothing\n"):
        path.write_bytes(content)
        assert has_begun(path)
    assert not has_begun(tmp_path / "gone")
    with pytest.raises(ValueError, match="line 1: damaged"):
        Ledger.find(tmp_path)
    with pytest.raises(ValueError, match="line 1: damaged"):
        Ledger.create(tmp_path)
    assert path.read_bytes() == b"nothing\n"


def test_a_full_disk_at_the_first_entry_leaves_nothing(tmp_path, monkeypatch):
    def full(file, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(ValueError, match=r"cannot write the study there \(No space left on device\)"):
            Ledger.create(tmp_path / "study")
    assert files(tmp_path / "study") == []
    assert Ledger.find(tmp_path / "study") is None
    assert Ledger.create(tmp_path / "study").records() == []


@pytest.mark.parametrize("at", range(1, 9))
def test_a_start_that_ends_at_any_moment_leaves_a_whole_study_or_none(at, tmp_path, monkeypatch):
    """Ended as by a kill: nothing is put in order afterwards."""

    class Killed(BaseException):
        pass

    steps = 0

    def step(real):
        def call(*arguments, **options):
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as killed:
        killed.setattr(os, "write", step(os.write))
        killed.setattr(os, "fsync", step(os.fsync))
        killed.setattr(Path, "replace", step(Path.replace))
        killed.setattr(Path, "rename", step(Path.rename))
        (tmp_path / FILE).write_bytes(b'{"op')
        try:
            Ledger.create(tmp_path, tell=lambda text: None)
        except Killed:
            assert Ledger.find(tmp_path) is None
        else:
            assert steps < at
    assert Ledger.create(tmp_path, tell=lambda text: None).records() == []
    assert not (tmp_path / f"{FILE}.new").exists()


def test_the_journal_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.pread(file, 10**6, 0), files(tmp_path))))
    begin_journal(tmp_path / FILE, "mars", {"identity": "i1", "more": "x"}, pytest.fail)
    ((content, names),) = synced
    assert names == [f"{FILE}.new"]
    assert (tmp_path / FILE).read_bytes() == content
    entries = [json.loads(line) for line in content.splitlines()]
    assert entries[0]["study_name"] == "mars"
    assert [entry["user_attr"] for entry in entries[1:]] == [{"identity": "i1"}, {"more": "x"}]


def test_what_an_earlier_start_left_is_no_part_of_the_next(tmp_path):
    Journal(tmp_path / f"{FILE}.new", writable=True).append_logs([{"n": 0}])
    assert Ledger.create(tmp_path).records() == []
    assert files(tmp_path) == [FILE]
