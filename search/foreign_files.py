"""Files that lie in a study's folder, which somebody else may have put there: they can hang or break no reader."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read bytes from.

    Raises:
        OSError: if it cannot be read, or is no regular file: whoever opens a pipe waits for its other end.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is no regular file")
    return os.fdopen(file, "rb")


def read_text(path: Path) -> str:
    """The text of a file. Raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read().decode(errors="replace")


def parse_json(text: str | bytes) -> Any:
    """Raises ValueError for what is no JSON, or too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects in more levels than can be read") from None
