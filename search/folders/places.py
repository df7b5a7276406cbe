"""The folders that a command writes to, and what changes each: errors of files name both."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = 2**20
"""Bytes that must be free in a folder before a command starts: less is a full disk, where not even a log fits."""


@dataclass(frozen=True)
class Place:
    """A folder, and how the user changes it."""

    folder: Path
    change: str
    """What to do, such as "set RAY_TMPDIR to another folder"."""

    def explained(self, error: OSError, folder: Path | None = None) -> ValueError:
        """Return the error for the user, about the place or a folder or file in it."""
        free = "free some space, or " if error.errno in FULL else ""
        return ValueError(f"{folder or self.folder}: cannot be used ({reason(error)}); {free}{self.change}")

    def concerns(self, error: OSError) -> bool:
        """Return whether the error is about a file in this folder; one that names no file may be about a full disk."""
        if error.filename is None:
            return error.errno in FULL and self._is_full()
        if not isinstance(error.filename, str | bytes | os.PathLike):  # a file descriptor
            return False
        named = os.path.abspath(os.fsdecode(error.filename))  # noqa: PTH100 - it may not exist, and links stay
        folders = (self.folder.absolute(), self.folder.resolve())
        return any(Path(named).is_relative_to(folder) for folder in folders)

    def _is_full(self) -> bool:
        with suppress(OSError):
            return shutil.disk_usage(existing(self.folder)).free < ROOM
        return False


def study_not_written(place: str | Path, error: OSError) -> ValueError:
    """Return the error for the user where a study cannot be written to a path or URI."""
    free = "free some space, or " if error.errno in FULL else ""
    return ValueError(
        f"{place}: cannot write the study there ({reason(error)}); {free}give another place with --storage"
    )


@contextmanager
def errors_explained(*places: Place) -> Iterator[None]:
    """Context in which an OSError about a file in one of the places becomes a ValueError that says what to change."""
    try:
        yield
    except OSError as error:
        if (explained := explained_by(error, places)) is None:
            raise
        raise explained from error


def explained_by(error: OSError, places: Sequence[Place]) -> ValueError | None:
    """Return the error for the user, about the innermost of the places that it concerns; None if it concerns none."""
    for place in sorted(places, key=lambda place: len(place.folder.absolute().parts), reverse=True):
        if place.concerns(error):
            return place.explained(error, Path(os.fsdecode(error.filename)) if error.filename else None)
    return None


def reason(error: OSError) -> str:
    """Return why it happened, in a few words."""
    said = error.strerror or str(error)
    return os.strerror(error.errno) if error.errno and "[errno" in said else said  # PyArrow repeats the path


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, which must exist; leave none behind. Raises OSError otherwise."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        raise OSError(error.errno, reason(error), str(folder)) from error


def existing(folder: Path) -> Path:
    """Return the folder, or the first folder above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))  # noqa: PTH110 - no errors
