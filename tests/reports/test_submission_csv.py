from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.submission_csv import check_submission, write_submission

MASKS = np.random.default_rng(0).integers(1, 5, (23, 4, 6)).astype(np.uint8)


def batches(masks, size=5):
    return (masks[start : start + size] for start in range(0, len(masks), size))


@pytest.mark.parametrize("top", [5, 10, 11, 200])  # labels of one digit have a way of their own: up to 9
def test_the_file_is_what_pandas_would_write(top, tmp_path):
    masks = np.random.default_rng(1).integers(0, top, (23, 4, 6)).astype(np.uint8)
    path = tmp_path / "s.csv"
    assert write_submission(path, batches(masks), 24) == 23
    expected = io.StringIO()
    pd.DataFrame(masks.reshape(23, 24)).to_csv(expected, index_label="id", lineterminator="\n")
    assert path.read_text() == expected.getvalue()
    assert [p.name for p in tmp_path.iterdir()] == ["s.csv"]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**31))
def test_what_is_written_is_counted_as_written(rows, size, seed):
    import tempfile
    from pathlib import Path

    masks = np.random.default_rng(seed).integers(0, 5, (rows, 3, 5)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        write_submission(path, batches(masks, size), 15)
        counts = check_submission(path, rows=rows, pixels=15, classes=5, refused=None)
    assert counts.tolist() == np.bincount(masks.ravel(), minlength=5).tolist()


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "s.csv"
    write_submission(path, batches(MASKS), 24)
    whole = path.read_bytes()
    for end in (*range(len(whole) - 60, len(whole)), 0, 10):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"s\.csv: "):
            check_submission(path, rows=23, pixels=24, classes=5, refused=0)


@pytest.mark.parametrize("block", [1, 50, 2**20])
def test_the_check_reads_whole_rows_whatever_its_block(block, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.submission_csv.CHECK_BLOCK", block)
    masks = np.random.default_rng(2).integers(0, 200, (23, 4, 6)).astype(np.uint8)
    write_submission(tmp_path / "s.csv", batches(masks), 24)
    counts = check_submission(tmp_path / "s.csv", rows=23, pixels=24, classes=200, refused=None)
    assert counts.tolist() == np.bincount(masks.ravel(), minlength=200).tolist()


def test_a_write_that_breaks_leaves_nothing(tmp_path):
    def broken():
        yield MASKS[:5]
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        write_submission(tmp_path / "s.csv", broken(), 24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "holds 22 rows; it must hold 23"),
        (lambda lines: [lines[0].replace("id", "index"), *lines[1:]], "columns must be id, 0, ..., 23"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "ids must be 0 to 22 in order"),
        (lambda lines: [*lines[:3], lines[3][:-1] + "7", *lines[4:]], "holds label 7; labels must be below 5"),
        (lambda lines: [*lines[:3], lines[3][:-1] + "0", *lines[4:]], "holds the ignored class 0 in 1 pixels"),
        (lambda lines: [*lines[:3], lines[3][:-1] + "x", *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], lines[3] + ",1", *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], lines[3].replace(",", "\n", 1), *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], lines[3].replace(",", ",-", 1), *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], "9" * 20 + lines[3], *lines[4:]], "a number has 21 digits"),
        (lambda lines: [*lines, "23"], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], lines[3][:-1], *lines[4:]], "a cell is empty"),
        (lambda lines: [*lines, "23" + lines[-1][2:]], "holds 24 rows; it must hold 23"),
        (lambda lines: lines[:1], "holds 0 rows; it must hold 23"),
        (lambda lines: [lines[0] + ",24", *(line + ",1" for line in lines[1:])], "columns must be id, 0, ..., 23"),
        (lambda lines: [line.rpartition(",")[0] for line in lines], "columns must be id, 0, ..., 23"),
        (lambda lines: [lines[0].replace("0,1", "1,0"), *lines[1:]], "columns must be id, 0, ..., 23"),
        (lambda lines: lines[1:], "columns must be id, 0, ..., 23"),
        (lambda lines: [*lines[:3], lines[3].rpartition(",")[0], *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [*lines[:3], lines[3].replace(",", ";", 1), *lines[4:]], "not every line is 25 whole numbers"),
        (lambda lines: [lines[0], *lines[2:]], "ids must be 0 to 22 in order; in the rows from row 0 on they are not"),
        (lambda lines: [*lines[:3], lines[2], *lines[4:]], "ids must be 0 to 22 in order"),
        (lambda lines: [*lines[:3], "1" + lines[3], *lines[4:]], "ids must be 0 to 22 in order"),
        (lambda lines: [*lines[:3], lines[3][:-1] + "5", *lines[4:]], "holds label 5; labels must be below 5"),
        (lambda lines: [*lines[:3], lines[3] + "0" * 17, *lines[4:]], "holds label [1-4]0{17}; labels must be below 5"),
        (lambda lines: [*lines[:3], lines[3] + "0" * 18, *lines[4:]], "a number has 19 digits"),
        (lambda lines: [lines[0], "0,0,0" + lines[1][5:], *lines[2:]], "holds the ignored class 0 in 2 pixels"),
    ],
)
def test_a_file_that_is_wrong_is_refused(change, message, tmp_path):
    path = tmp_path / "s.csv"
    write_submission(path, batches(MASKS), 24)
    check_submission(path, rows=23, pixels=24, classes=5, refused=0)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(ValueError, match=message):
        check_submission(path, rows=23, pixels=24, classes=5, refused=0)


def test_the_row_from_which_on_something_is_wrong_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.submission_csv.CHECK_BLOCK", 1)  # a row at a time
    path = tmp_path / "s.csv"
    write_submission(path, batches(MASKS), 24)
    lines = path.read_text().splitlines()
    for row, message in (
        (lines[4] + "x", "in the rows from row 3 on, not every"),
        (lines[5], "from row 3 on they are not"),
    ):
        path.write_text("\n".join([*lines[:4], row, *lines[5:]]) + "\n")
        with pytest.raises(ValueError, match=message):
            check_submission(path, rows=23, pixels=24, classes=5, refused=0)


def test_a_refused_label_is_none_other(tmp_path):
    masks = np.full((2, 1, 3), 3, np.uint8)
    masks[1, 0, 2] = 1
    write_submission(tmp_path / "s.csv", batches(masks), 3)
    assert (tmp_path / "s.csv").read_text() == "id,0,1,2\n0,3,3,3\n1,3,3,1\n"
    for refused in (None, 0, 2):
        counts = check_submission(tmp_path / "s.csv", rows=2, pixels=3, classes=4, refused=refused)
        assert counts.tolist() == [0, 1, 0, 5]
        assert counts.dtype == np.int64
    with pytest.raises(ValueError, match="holds the ignored class 3 in 5 pixels"):
        check_submission(tmp_path / "s.csv", rows=2, pixels=3, classes=4, refused=3)


def test_an_older_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("old")

    def looked_at():
        for batch in batches(MASKS):
            assert path.read_text() == "old"
            yield batch

    assert write_submission(path, looked_at(), 24) == 23
    assert path.read_text().startswith("id,0,1,")
    assert write_submission(path, iter(()), 2) == 0
    assert path.read_text() == "id,0,1\n"
