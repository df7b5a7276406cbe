"""Creation of a study's journal: complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

from search.foreign_files import open_regular
from search.storage.journal import Journal

NOTHING = b"\0 \t\r\n"
"""Bytes without content: after a power failure a file may hold zeros."""


def has_begun(path: Path) -> bool:
    """Return whether there is a journal with at least one complete line, even a damaged one.

    Raises:
        ValueError: if there is something else that cannot be read.
    """
    try:
        with open_regular(path) as file:
            first = next((line for line in file if line.strip(NOTHING)), b"")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error}): restore the study's file, or remove what is there"
        ) from None
    return first.endswith(b"\n")


def begin_journal(path: Path, study: str, attributes: dict[str, str], tell: Callable[[str], None]) -> None:
    """Create the journal of a new study where none has begun.

    An incomplete first entry, left by a killed driver or a full disk, is kept in a file beside it unless it is empty.

    Args:
        path: path of the file.
        study: name of the study.
        attributes: user attributes of the study.
        tell: called with a message if a file is kept.

    Raises:
        OSError: if it cannot be written; no partial file is left.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        made = optuna.create_study(
            storage=JournalStorage(Journal(new, writable=True)), study_name=study, direction="maximize"
        )
        for name, value in attributes.items():
            made.set_user_attr(name, value)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        if path.exists() and path.read_bytes().strip(NOTHING):
            kept = path.with_name(f"{path.name}.damaged-{attributes['identity']}")
            path.rename(kept)
            tell(f"{path} held no complete entry: a new study begins, the old content is in {kept.name}")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
