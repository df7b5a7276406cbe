"""The ledger's file: Optuna's journal, one JSON entry per line, which a kill or a full disk cannot corrupt.

Any tool that opens Optuna's own `JournalFileBackend` can read it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from search.foreign_files import open_regular, parse_json

FSYNC_SECONDS = 1.0
"""Interval between syncs to disk. An entry survives a kill at once, and a power failure once it is synced."""


class JournalLost(OSError):
    """Somebody moved, deleted or changed the file while this process had it open for writing."""


class Journal(BaseJournalBackend):
    """Appends entries under a lock that ends with its process; a partly written entry is removed.

    Optuna's own backend locks with a link that a killed driver leaves in place; it opens, locks and syncs the file for
    every entry, and cannot read the file again after a truncated entry.

    Args:
        path: path of the file.
        writable: whether entries will be appended; the file is then created if it does not exist.
        check: raises ValueError for an entry that a reader could not load.
        merge: returns fewer entries that replay to the same, given all entries of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        writable: bool,
        check: Callable[[Any], None] = lambda entry: None,
        merge: Callable[[list[Any]], list[Any]] = list,
    ):
        self.path, self._check, self._merge, self._writable = path.absolute(), check, merge, writable
        self._opened = path.open("ab+", buffering=0) if writable else open_regular(path)  # closes itself
        self._file = self._opened.fileno()
        self._given = 0
        """Number of entries that the reader has got; merged ones count as one."""
        self._read_lines, self._read_bytes = 0, 0
        self._synced = time.monotonic()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from that number on, without a last one that is incomplete.

        The entries that the file has at the first read are merged, and numbered as they are then. A writer that has
        read the whole file before ignores a damaged new line: the next `append_logs` reports what somebody else has
        done to the file.

        Raises:
            ValueError: if an entry is damaged.
        """
        if 0 < log_number_from == self._given:
            yield from self._following()
        else:
            yield from self._all()[log_number_from:]

    def _all(self) -> list[dict[str, Any]]:
        """Read the file from its beginning."""
        self._read_lines, self._read_bytes = 0, 0
        entries = []
        for line in self._unread():
            entries.append(self._parsed(line, self._read_lines + 1))
            self._read_lines += 1
            self._read_bytes += len(line)
        entries = self._merge(entries)
        self._given = len(entries)
        return entries

    def _following(self) -> Iterator[dict[str, Any]]:
        """Read what follows in the file."""
        for line in self._unread():
            try:
                entry = self._parsed(line, self._read_lines + 1)
            except ValueError:
                if self._writable:
                    return
                raise
            self._read_lines += 1
            self._read_bytes += len(line)
            self._given += 1
            yield entry

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries, all or none.

        Raises:
            OSError: if the disk is full or not available; the file is unchanged.
            JournalLost: if somebody has moved, deleted or changed the file.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._locked():
            if (damage := self._damage()) is not None:
                raise JournalLost(f"{self.path}: {damage} while the search ran")
            size = self._whole_size()
            try:
                written = os.write(self._file, text)
                while written < len(text):  # a full disk writes a part, and raises at the next attempt
                    written += os.write(self._file, text[written:])
            except OSError:
                os.ftruncate(self._file, size)
                raise
        if time.monotonic() - self._synced > FSYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _unread(self) -> list[bytes]:
        """Return the complete lines after those that were read."""
        text = os.pread(self._file, max(0, os.fstat(self._file).st_size - self._read_bytes), self._read_bytes)
        return text[: text.rfind(b"\n") + 1].splitlines(keepends=True)

    def _parsed(self, line: bytes, number: int) -> Any:
        """Parse and check the line of that number. Raises ValueError if it is not an entry."""
        try:
            entry = parse_json(line)
            self._check(entry)
            return entry
        except ValueError as error:
            raise ValueError(
                f"{self.path}, line {number}: damaged ({error}): restore a copy of the file, or truncate it before "
                "this line, which loses all entries after it"
            ) from error

    def _damage(self) -> str | None:
        """Return what somebody has done to the file; None if it is still in place, and all new lines can be read."""
        own = os.fstat(self._file)
        try:
            found = self.path.stat()
        except OSError:
            return "moved or deleted"
        if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
            return "replaced"
        if own.st_size < self._read_bytes:
            return "truncated"
        try:
            for number, line in enumerate(self._unread(), self._read_lines + 1):
                self._parsed(line, number)
        except ValueError:
            return "damaged"
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _whole_size(self) -> int:
        """Truncate an incomplete entry of a killed driver, and return the file's size in bytes."""
        size = os.fstat(self._file).st_size
        if size == self._read_bytes or os.pread(self._file, 1, size - 1) == b"\n":
            return size
        unread = os.pread(self._file, size - self._read_bytes, self._read_bytes)
        whole = self._read_bytes + unread.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        return whole
