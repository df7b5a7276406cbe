"""How a study's journal begins: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

from search.foreign_files import open_regular
from search.storage.journal import Journal

NOTHING = b"\0 \t\r\n"
"""Bytes that say nothing: after a power failure a file may hold zeros."""


def has_begun(path: Path) -> bool:
    """Whether there is a journal with a whole entry, be it a damaged one.

    Raises:
        ValueError: if there is something else.
    """
    try:
        with open_regular(path) as file:
            first = next((line for line in file if line.strip(NOTHING)), b"")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error}): put the study's file back, or remove what is there"
        ) from None
    return first.endswith(b"\n")


def begin_journal(path: Path, study: str, attributes: dict[str, str], tell: Callable[[str], None]) -> None:
    """Make the journal of a new study, where there is none that has begun.

    What a driver that was killed left of its first entry, or a disk that was full, is kept beside if it is anything.

    Args:
        path: the file's.
        study: its name.
        attributes: of the study.
        tell: is told of what is kept.

    Raises:
        OSError: if it cannot be written; nothing is left then.
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
            tell(f"{path} held no whole entry: the study begins, what was there is in {kept.name}")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
