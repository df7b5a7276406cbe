"""The ledger's file: Optuna's journal, one JSON entry a line, which a kill or a full disk cannot corrupt.

Any tool that opens Optuna's own `JournalFileBackend` reads it.
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
"""An entry is safe from a kill at once, and from a power failure after this long, at the next entry."""


class JournalLost(OSError):
    """Somebody has moved, deleted or changed the file while this process had it open to write to."""


class Journal(BaseJournalBackend):
    """Appends entries under a lock that ends with its process; what was written in part is taken back.

    Optuna's own backend locks with a link that a killed driver leaves behind, opens, locks and syncs the file at every
    entry, and cannot be read again after an entry that was cut short.

    Args:
        path: the file.
        writable: whether entries are to be appended; the file is then made if there is none.
        check: raises ValueError for an entry that whoever reads it could not take in.
    """

    def __init__(self, path: Path, *, writable: bool, check: Callable[[Any], None] = lambda entry: None):
        self.path, self._check, self._writable = path.absolute(), check, writable
        self._opened = path.open("ab+", buffering=0) if writable else open_regular(path)  # closes itself
        self._file = self._opened.fileno()
        self._read_entries, self._read_bytes = 0, 0
        self._synced = time.monotonic()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Entries from that number on. The last one is left out as long as it is not whole.

        A writer that has read the file before knows all that it holds: what somebody has done to it since is found by
        the next `append_logs`.

        Raises:
            ValueError: at an entry that is damaged.
        """
        known = self._writable and 0 < log_number_from == self._read_entries
        if log_number_from != self._read_entries:
            self._read_entries, self._read_bytes = 0, 0
        for line in self._unread():
            try:
                entry = self._parsed(line)
            except ValueError as error:
                if known:
                    return
                raise ValueError(
                    f"{self.path}, line {self._read_entries + 1}: damaged ({error}): bring back a copy of the file, or "
                    "cut it off before that line, which loses what follows"
                ) from error
            self._read_entries += 1
            self._read_bytes += len(line)
            if self._read_entries > log_number_from:
                yield entry

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries, all or none.

        Raises:
            OSError: if the disk is full or gone; the file is as it was.
            JournalLost: if somebody has moved, deleted or changed the file.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._locked():
            if (damage := self._damage()) is not None:
                raise JournalLost(f"{self.path}: {damage} while the search ran")
            size = self._whole_size()
            try:
                written = os.write(self._file, text)
                while written < len(text):  # a full disk takes a part, and says so at the next attempt
                    written += os.write(self._file, text[written:])
            except OSError:
                os.ftruncate(self._file, size)
                raise
        if time.monotonic() - self._synced > FSYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _unread(self) -> list[bytes]:
        """The whole lines after those that were read."""
        text = os.pread(self._file, max(0, os.fstat(self._file).st_size - self._read_bytes), self._read_bytes)
        return text[: text.rfind(b"\n") + 1].splitlines(keepends=True)

    def _parsed(self, line: bytes) -> Any:
        """Raises ValueError for what is no entry."""
        entry = parse_json(line)
        self._check(entry)
        return entry

    def _damage(self) -> str | None:
        """What somebody has done to the file; None: it is where it was, and what was added to it can be read."""
        own = os.fstat(self._file)
        try:
            found = self.path.stat()
        except OSError:
            return "moved or deleted"
        if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
            return "replaced"
        if own.st_size < self._read_bytes:
            return "cut off"
        try:
            for line in self._unread():
                self._parsed(line)
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
        """The file's size in bytes, once the rest of an entry that a killed driver began is cut off."""
        size = os.fstat(self._file).st_size
        if size == self._read_bytes or os.pread(self._file, 1, size - 1) == b"\n":
            return size
        unread = os.pread(self._file, size - self._read_bytes, self._read_bytes)
        whole = self._read_bytes + unread.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        return whole
