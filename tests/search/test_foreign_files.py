"""Files of a study's folder that are none, and texts that are too deep."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.checkpoints.root import Marker
from search.foreign_files import open_regular, parse_json, read_text
from search.ledger.ledger import Ledger
from search.locking.folder_lock import LOCK, OWNER, driver_of, study_lock
from search.locking.small_files import SmallFiles
from search.storage.journal_creation import has_begun
from search.storage.location import FILE, POINTER, LedgerPlace

DEEP = "[" * 100_000


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_regular_files_are_opened(make, tmp_path):
    make(tmp_path / "x")
    for read in (open_regular, read_text):
        with pytest.raises(OSError, match="x is not a regular file"):
            read(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")
    (tmp_path / "y").write_bytes(b"a\xff")
    assert read_text(tmp_path / "y") == "a\N{REPLACEMENT CHARACTER}"


def test_what_is_too_deep_is_no_json():
    assert parse_json("[1]") == [1]
    for text in (DEEP, "{", b"\xff"):
        with pytest.raises(ValueError, match=r"too deeply|Expecting|decode"):
            parse_json(text)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_reader_of_a_study_waits_for_a_pipe(make, tmp_path):
    for name in (LOCK, OWNER, FILE, POINTER, "study.json"):
        folder = tmp_path / name
        folder.mkdir()
        make(folder / name)
    assert driver_of(tmp_path / LOCK) is None
    with pytest.raises(ValueError, match=rf"{FILE}: cannot be read \(.* is not a regular file\)"):
        has_begun(tmp_path / FILE / FILE)
    with pytest.raises(ValueError, match=FILE):
        Ledger.create(tmp_path / FILE)
    with pytest.raises(ValueError, match=POINTER):
        LedgerPlace.of(tmp_path / POINTER)
    with pytest.raises(OSError, match=r"study\.json"):
        Marker.read(str(tmp_path / "study.json"))


def test_an_owner_that_is_a_pipe_is_unknown(tmp_path):
    with study_lock(tmp_path):
        (tmp_path / OWNER).unlink()
        os.mkfifo(tmp_path / OWNER)
        assert driver_of(tmp_path) == {}


def test_deep_texts_are_damaged_ones(tmp_path):
    for name in (POINTER, "study.json"):
        (tmp_path / name).write_text(DEEP)
    with pytest.raises(ValueError, match=POINTER):
        LedgerPlace.of(tmp_path)
    with pytest.raises(ValueError, match="is damaged"):
        Marker.read(str(tmp_path))
    with study_lock(tmp_path):
        SmallFiles(str(tmp_path)).write(OWNER, DEEP)
        assert driver_of(tmp_path) == {}


texts = st.text(st.characters())  # also halves of surrogate pairs, which a JSON text may hold escaped
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


@given(value=values, ascii_only=st.booleans())
def test_json_is_parsed_as_python_parses_it(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert repr(parse_json(text)) == repr(json.loads(text))
    with suppress(UnicodeEncodeError):
        assert repr(parse_json(text.encode())) == repr(json.loads(text))
