"""The submission: one CSV row an image, written in chunks and checked by reading it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, fs

CHECK_BLOCK = 8 * 2**20
"""Bytes that the check reads at a time; a row must fit into it."""


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
            stream.write(",".join(["id", *map(str, range(pixels))]).encode() + b"\n")
            for batch in predictions:
                for text in _lines(batch.reshape(len(batch), pixels)):
                    stream.write(b"%d" % rows)
                    stream.write(text)
                    rows += 1
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


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
    """Read a submission back and check every value, a block at a time.

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
    columns = ["id", *map(str, range(pixels))]
    types = {name: pa.uint8() for name in columns[1:]} | {"id": pa.int64()}
    counts, seen = np.zeros(classes, np.int64), 0
    try:
        with csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=CHECK_BLOCK),
            convert_options=csv.ConvertOptions(column_types=types),
        ) as reader:
            if reader.schema.names != columns:
                raise ValueError(f"{path}: columns must be id, 0, ..., {pixels - 1}")
            for batch in reader:
                if any(column.null_count for column in batch.columns):
                    raise ValueError(f"{path}: a cell is empty in the {len(batch)} rows from row {seen} on")
                ids = batch.column(0).to_numpy(zero_copy_only=False)
                if not np.array_equal(ids, np.arange(seen, seen + len(ids))):
                    raise ValueError(f"{path}: ids must be 0 to {rows - 1} in order, row {seen} begins another order")
                labels = np.concatenate([column.to_numpy(zero_copy_only=False) for column in batch.columns[1:]])
                if labels.max(initial=0) >= classes:
                    raise ValueError(f"{path}: holds label {labels.max()}, must be below {classes}")
                counts += np.bincount(labels, minlength=classes)
                seen += len(ids)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a submission ({error})") from error
    if seen != rows:
        raise ValueError(f"{path}: holds {seen} rows, must be {rows}")
    if refused is not None and counts[refused]:
        raise ValueError(f"{path}: holds the ignored class {refused} in {counts[refused]} pixels")
    return counts
