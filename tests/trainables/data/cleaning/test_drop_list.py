from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data import read_drop_list
from trainables.data.cleaning.drop_list import drop_list_of, nearest_name
from trainables.data.cleaning.unusable_pairs import Flagged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drop.txt"


def test_an_index_a_line_with_comments(file):
    file.write_bytes(b"\xef\xbb\xbf# from the dry run\r\n\r\n 17\r\n3 # dark\n#5\n\n017\n2")
    assert list(read_drop_list(str(file)).items()) == [(2, 8), (3, 4), (17, 3), ("017", 7)]


def test_a_list_may_be_empty(file):
    file.write_text("# nothing yet\n")
    assert read_drop_list(str(file)) == {}


def test_a_name_a_line_with_comments(file):
    file.write_text(
        'images/b.png\n# images/c.png\n7#8\na #b.png\n d#e.png # dark\n"f # g.png" # quoted\n"7"\nimages/b.png\n'
    )
    found = {7: 3, "7": 7, "a": 4, "d#e.png": 5, "f # g.png": 6, "images/b.png": 1}
    assert list(read_drop_list(str(file)).items()) == list(found.items())


@pytest.mark.parametrize("line", ['"a.png', '"a.png" b', '"a\\.png"', '"'])
def test_a_broken_name_is_named(file, line):
    file.write_text(f"3\n\n{line}\n")
    with pytest.raises(ValueError) as refused:
        read_drop_list(str(file))
    assert str(refused.value) == (
        f'{file}, line 3: {line} is not a name in double quotes: end it with one, and write \\" inside it'
    )
    file.write_text('"' + "x" * 100_000)
    with pytest.raises(ValueError, match=r'line 1: "x{39}\.\.\. is not a name'):
        read_drop_list(str(file))


def test_a_file_that_is_no_text_is_refused(file, tmp_path):
    file.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match=r"drop\.txt: not a drop list, which is a text file"):
        read_drop_list(str(file))
    with pytest.raises(ValueError, match=r"gone\.txt: cannot be read as a drop list \(No such file or directory\)"):
        read_drop_list(str(tmp_path / "gone.txt"))
    with pytest.raises(ValueError, match=r"cannot be read as a drop list \(Is a directory\)"):
        read_drop_list(str(tmp_path))


@given(st.lists(st.lists(st.integers(0, 10**9), unique=True), max_size=3))
def test_what_is_written_is_read(tmp_path_factory, groups):
    file = tmp_path_factory.mktemp("list") / "drop.txt"
    file.write_text(drop_list_of(Flagged(reason="are odd", indices=tuple(group)) for group in groups))
    assert list(read_drop_list(str(file))) == sorted({index for group in groups for index in group})


NAMES = st.text(min_size=1) | st.sampled_from(["7", "07", " a", "a #b", "#a", '"a"', "a\n", "a\\", "\udc80"])


@given(st.lists(NAMES, unique=True))
def test_names_that_are_written_are_read(tmp_path_factory, names):
    file = tmp_path_factory.mktemp("list") / "drop.txt"
    every = Flagged(reason="are odd", indices=tuple(range(len(names))))
    file.write_text(drop_list_of([every], names), encoding="utf-8")
    assert list(read_drop_list(str(file))) == sorted(names)


def test_the_nearest_name():
    names = ["images/a.png", "images/b.png", "images/night_041.png", "test/b.png"]
    assert nearest_name("a.png", names) == nearest_name("a.jpg", names) == "images/a.png"
    assert nearest_name("images/nigth_041.png", names) == "images/night_041.png"
    assert nearest_name("something else", names) is None
