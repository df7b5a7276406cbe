from __future__ import annotations

import pytest
from pyarrow import fs

from search.locking.small_files import SmallFiles


@pytest.fixture(params=["folder", "file URI", "object store"])
def place(request, tmp_path):
    if request.param == "object store":
        return request.getfixturevalue("object_store")("runs/study")
    return str(tmp_path / "study") if request.param == "folder" else f"file://{tmp_path}/study"


def test_texts_are_written_read_listed_and_deleted(place):
    files = SmallFiles(place)
    assert files.read("a.json") is None
    assert files.changed() == {}
    files.delete("a.json")
    files.make_place()
    files.make_place()
    files.write("a.json", "eins \u00fc")
    files.write("b.json", "two")
    files.write("a.json", "three \u00fc")
    assert SmallFiles(place).read("a.json") == "three \u00fc"
    assert files.changed().keys() == {"a.json", "b.json"}
    files.delete("a.json")
    files.delete("a.json")
    assert files.changed().keys() == {"b.json"}


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    files = SmallFiles(str(tmp_path))
    files.write("a.json", "old")
    before = files.changed()

    class Full(fs.LocalFileSystem):
        def move(self, source, target):
            assert source != target
            assert files.changed() == before  # what is not whole yet is not there for readers
            raise OSError("disk full")

    monkeypatch.setattr(files, "_fs", Full())
    with pytest.raises(OSError, match="disk full"):
        files.write("a.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert files.read("a.json") == "old"


def test_a_place_that_was_removed_is_not_made_again(tmp_path):
    files = SmallFiles(str(tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        files.write("a.json", "x")
    assert not (tmp_path / "gone").exists()


def test_what_is_no_text_is_read_all_the_same(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    assert SmallFiles(str(tmp_path)).read("a.json") == "\ufffd\ufffd"


def test_times_are_those_of_the_place(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "folder").mkdir()
    assert SmallFiles(str(tmp_path)).changed() == {"a.json": (tmp_path / "a.json").stat().st_mtime_ns}
