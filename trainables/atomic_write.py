"""Writes local files and folders atomically: a path shows its former content, or all of the new one."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Context that yields a path beside the target. What is written there replaces the target when the context ends.

    If the context ends with an exception, what was written is deleted and the target stays as it was. A process that is
    killed leaves the other path behind, whose name is that of the target with a random suffix. A folder can only be
    replaced if it is empty.

    Raises:
        OSError: if the target cannot be written or replaced; it names the target.
    """
    new = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    try:
        yield new
        new.replace(target)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        new.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(new):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
