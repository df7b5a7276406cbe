"""Reading files of a study's folder that somebody else may have put there: they must not hang or crash the reader."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import orjson


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read bytes from. Opening a pipe would block until its other end is opened.

    Raises:
        OSError: if it cannot be read, or is not a regular file.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(file, "rb")


def read_text(path: Path) -> str:
    """Return the text of a file. Raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read().decode(errors="replace")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON, and the NaN and infinities that Python writes into it.

    Raises:
        ValueError: if the text is not JSON, or is nested too deeply.
    """
    try:
        return orjson.loads(text)  # a large study has a hundred thousand entries
    except orjson.JSONDecodeError:
        pass  # a fault, or a number that only Python's parser takes
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None
