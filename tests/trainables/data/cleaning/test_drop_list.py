from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data import read_drop_list
from trainables.data.cleaning.drop_list import drop_list_of
from trainables.data.cleaning.unusable_pairs import Flagged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drop.txt"


def test_an_index_a_line_with_comments(file):
    file.write_bytes(b"\xef\xbb\xbf# from the dry run\r\n\r\n 17\r\n3 # dark\n#5\n\n017\n2")
    assert list(read_drop_list(str(file)).items()) == [(2, 8), (3, 4), (17, 3)]


def test_a_list_may_be_empty(file):
    file.write_text("# nothing yet\n")
    assert read_drop_list(str(file)) == {}


@pytest.mark.parametrize("value", ["x.png", "-1", "1.0", "1 2", "1,2", "4-9", "\u0663", "1e3", "9" * 19])
def test_a_line_that_is_no_index_is_named(file, value):
    file.write_text(f"3\n\n{value}\nworse\n")
    with pytest.raises(ValueError) as refused:
        read_drop_list(str(file))
    assert str(refused.value) == (
        f"{file}, line 3: {value!r} is not the index of an image, which is a whole number from 0 on, one a line"
    )


def test_a_long_line_is_cut(file):
    file.write_text("x" * 100_000)
    with pytest.raises(ValueError, match=r"line 1: 'x{40}\.\.\.' is not the index of an image"):
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
