"""The submission: a CSV file with one row per image, written in batches and checked by reading it back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pyarrow import fs

from trainables.atomic_write import atomic_write

CHECK_BLOCK = 2**20
"""Bytes that the check reads at a time; it then completes the row in which they end."""

MOST_DIGITS = 18
"""Most digits of a number that the check reads: any number with so few fits into 64 bits."""


def write_submission(path: Path, predictions: Iterable[np.ndarray], pixels: int) -> int:
    """Write predictions with the columns `id` (0, 1, ... in test order) and `0` to `pixels - 1`, the mask row by row.

    Only one batch of predictions is in memory at a time. The file appears under its name once it is complete.

    Args:
        path: the file to write.
        predictions: batches (B, H, W) uint8 of labels, in order.
        pixels: H * W.

    Returns: the number of rows.
    """
    rows = 0
    with atomic_write(path) as new, fs.LocalFileSystem().open_output_stream(str(new)) as stream:
        stream.write(_header(pixels))
        for batch in predictions:
            for text in _lines(batch.reshape(len(batch), pixels)):
                stream.write(b"%d" % rows)
                stream.write(text)
                rows += 1
    return rows


def _header(pixels: int) -> bytes:
    return ",".join(["id", *map(str, range(pixels))]).encode() + b"\n"


def _lines(labels: np.ndarray) -> Iterable[bytes | np.ndarray]:
    """Return the text ",1,4,2...\\n" of each row of labels (B, pixels)."""
    if labels.max(initial=0) > 9:
        return (f",{','.join(map(str, row))}\n".encode() for row in labels.tolist())
    # With labels of one digit all rows have the same layout, so the batch is converted as a whole. A CSV writer, which
    # formats cell by cell, takes twenty times as long.
    text = np.full((len(labels), 2 * labels.shape[1] + 1), ord(","), np.uint8)
    text[:, 1::2] = labels + ord("0")
    text[:, -1] = ord("\n")
    return text


def check_submission(path: Path, *, rows: int, pixels: int, classes: int, refused: int | None) -> np.ndarray:
    """Read a submission back and check every value, a block of rows at a time.

    Args:
        path: the file.
        rows: required number of rows, with the ids 0 to rows - 1 in order.
        pixels: required number of label columns, named 0 to pixels - 1.
        classes: number of classes; labels must be below it.
        refused: a label that the file must not hold; None: any label is allowed.

    Returns: (classes,) number of pixels of each label.

    Raises:
        ValueError: if the file breaks one of these rules; names the file and the rule.
    """
    counts, seen = np.zeros(classes, np.int64), 0
    with path.open("rb") as stream:
        if stream.readline() != _header(pixels):
            raise ValueError(f"{path}: columns must be id, 0, ..., {pixels - 1}")
        while block := stream.read(CHECK_BLOCK) + stream.readline():
            try:
                table = _parse(block, pixels + 1)
            except ValueError as error:
                raise ValueError(f"{path}: in the rows from row {seen} on, {error}") from None
            ids, labels = table[:, 0], table[:, 1:]
            if not np.array_equal(ids, np.arange(seen, seen + len(ids))):
                raise ValueError(
                    f"{path}: ids must be 0 to {rows - 1} in order; in the rows from row {seen} on they are not"
                )
            if labels.max() >= classes:
                raise ValueError(f"{path}: holds label {labels.max()}; labels must be below {classes}")
            counts += np.bincount(labels.ravel(), minlength=classes)
            seen += len(ids)
    if seen != rows:
        raise ValueError(f"{path}: holds {seen} rows; it must hold {rows}")
    if refused is not None and counts[refused]:
        raise ValueError(f"{path}: holds the ignored class {refused} in {counts[refused]} pixels; it must not")
    return counts


def _parse(block: bytes, columns: int) -> np.ndarray:
    """Parse complete lines of whole numbers; returns (rows, columns) int64.

    With so many columns, a CSV reader takes several times as long, and hundreds of MiB.
    """
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text - ord("0") > 9)  # unsigned: bytes below "0" wrap around
    layout = np.full(columns, ord(","), np.uint8)
    layout[-1] = ord("\n")
    whole = not len(ends) % columns and text[-1] == ord("\n")
    if not whole or (text[ends].reshape(-1, columns) != layout).any():
        raise ValueError(f"not every line is {columns} whole numbers separated by commas")
    lengths = np.diff(ends, prepend=-1) - 1
    if not lengths.all():
        raise ValueError("a cell is empty")
    if lengths.max() > MOST_DIGITS:
        raise ValueError(f"a number has {lengths.max()} digits, more than {MOST_DIGITS}")
    values = text[ends - 1].astype(np.int64) - ord("0")
    longer = np.flatnonzero(lengths > 1)
    for digit in range(1, int(lengths.max())):  # tens, hundreds, ...: few numbers are that long
        longer = longer[lengths[longer] > digit]
        values[longer] += (text[ends[longer] - 1 - digit].astype(np.int64) - ord("0")) * 10**digit
    return values.reshape(-1, columns)
