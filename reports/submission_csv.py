"""The submission: one CSV row an image, written in chunks and checked by reading it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pyarrow import fs

CHECK_BLOCK = 2**20
"""Bytes that the check reads at a time, and the rest of the row in which they end."""

MOST_DIGITS = 18
"""Of a number that fits into 64 bits, whatever its digits."""


def write_submission(path: Path, predictions: Iterable[np.ndarray], pixels: int) -> int:
    """Write predictions: columns `id` (0, 1, ... in test order) and `0` to `pixels - 1`, the mask row by row.

    Only one batch of predictions is in memory at a time, and the file appears when it is complete.

    Args:
        path: where to.
        predictions: batches (B, H, W) uint8 of labels, in order.
        pixels: H * W.

    Returns: the number of rows.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    rows = 0
    try:
        with fs.LocalFileSystem().open_output_stream(str(temporary)) as stream:
            stream.write(_header(pixels))
            for batch in predictions:
                for text in _lines(batch.reshape(len(batch), pixels)):
                    stream.write(b"%d" % rows)
                    stream.write(text)
                    rows += 1
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _header(pixels: int) -> bytes:
    return ",".join(["id", *map(str, range(pixels))]).encode() + b"\n"


def _lines(labels: np.ndarray) -> Iterable[bytes | np.ndarray]:
    """For each row of labels (B, pixels) the text ",1,4,2...\\n"."""
    if labels.max(initial=0) > 9:
        return (f",{','.join(map(str, row))}\n".encode() for row in labels.tolist())
    # Labels of one digit give every row the same layout, so the batch becomes text at once: a CSV writer, which formats
    # cell by cell, takes twenty times as long.
    text = np.full((len(labels), 2 * labels.shape[1] + 1), ord(","), np.uint8)
    text[:, 1::2] = labels + ord("0")
    text[:, -1] = ord("\n")
    return text


def check_submission(path: Path, *, rows: int, pixels: int, classes: int, refused: int | None) -> np.ndarray:
    """Read a submission back and check every value, a block of rows at a time.

    Args:
        path: the file.
        rows: images that it must hold, with ids 0 to rows - 1 in order.
        pixels: label columns that it must hold, named 0 to pixels - 1.
        classes: labels are below this.
        refused: a label that it must not hold.

    Returns: (classes,) pixels of each label.

    Raises:
        ValueError: naming the file and the rule it broke.
    """
    counts, seen = np.zeros(classes, np.int64), 0
    with path.open("rb") as stream:
        if stream.readline() != _header(pixels):
            raise ValueError(f"{path}: columns must be id, 0, ..., {pixels - 1}")
        while block := stream.read(CHECK_BLOCK) + stream.readline():
            try:
                table = _parse(block, pixels + 1)
            except ValueError as error:
                raise ValueError(f"{path}: in the rows from row {seen} on {error}") from None
            ids, labels = table[:, 0], table[:, 1:]
            if not np.array_equal(ids, np.arange(seen, seen + len(ids))):
                raise ValueError(f"{path}: ids must be 0 to {rows - 1} in order, row {seen} begins another order")
            if labels.max() >= classes:
                raise ValueError(f"{path}: holds label {labels.max()}, must be below {classes}")
            counts += np.bincount(labels.ravel(), minlength=classes)
            seen += len(ids)
    if seen != rows:
        raise ValueError(f"{path}: holds {seen} rows, must be {rows}")
    if refused is not None and counts[refused]:
        raise ValueError(f"{path}: holds the ignored class {refused} in {counts[refused]} pixels")
    return counts


def _parse(block: bytes, columns: int) -> np.ndarray:
    """Whole lines of whole numbers as (rows, columns) int64.

    A CSV reader takes several times as long, and hundreds of MiB, for so many columns.
    """
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text - ord("0") > 9)  # unsigned: what is below "0" wraps around
    layout = np.full(columns, ord(","), np.uint8)
    layout[-1] = ord("\n")
    whole = not len(ends) % columns and text[-1] == ord("\n")
    if not whole or (text[ends].reshape(-1, columns) != layout).any():
        raise ValueError(f"not every line is {columns} whole numbers with commas between them")
    lengths = np.diff(ends, prepend=-1) - 1
    if not lengths.all():
        raise ValueError("a cell is empty")
    if lengths.max() > MOST_DIGITS:
        raise ValueError(f"a number has {lengths.max()} digits")
    values = text[ends - 1].astype(np.int64) - ord("0")
    longer = np.flatnonzero(lengths > 1)
    for digit in range(1, int(lengths.max())):  # tens, hundreds, ...: few numbers are that long
        longer = longer[lengths[longer] > digit]
        values[longer] += (text[ends[longer] - 1 - digit].astype(np.int64) - ord("0")) * 10**digit
    return values.reshape(-1, columns)
