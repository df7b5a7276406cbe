"""The ledger's file: Optuna's journal, one JSON entry a line, which a kill or a full disk cannot corrupt.

Any tool that opens Optuna's own `JournalFileBackend` reads it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

FSYNC_SECONDS = 1.0
"""An entry is safe from a kill at once, and from a power failure after this long, at the next entry."""


class JournalDeleted(FileNotFoundError):
    """Somebody has deleted the file while this process had it open."""


class Journal(BaseJournalBackend):
    """Appends entries under a lock that ends with its process; what was written in part is taken back.

    Optuna's own backend locks with a link that a killed driver leaves behind, opens, locks and syncs the file at every
    entry, and cannot be read again behind an entry that was cut short.

    Args:
        path: the file.
        writable: whether entries are to be appended; the file is then made if there is none.
        check: raises ValueError for an entry that whoever reads it could not take in.
    """

    def __init__(self, path: Path, *, writable: bool, check: Callable[[Any], None] = lambda entry: None):
        self.path, self._check = path, check
        self._opened = path.open("ab+" if writable else "rb", buffering=0)  # closes itself
        self._file = self._opened.fileno()
        self._read_entries, self._read_bytes = 0, 0
        self._synced = time.monotonic()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Entries from that number on. The last one is left out as long as it is not whole.

        Raises:
            ValueError: at an entry that is damaged.
        """
        if log_number_from != self._read_entries:
            self._read_entries, self._read_bytes = 0, 0
        text = os.pread(self._file, os.fstat(self._file).st_size - self._read_bytes, self._read_bytes)
        for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                entry = json.loads(line)
                self._check(entry)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{self.path}, line {self._read_entries + 1}: damaged ({error}): bring back a copy of the file, or "
                    "cut it off before that line, which loses what is behind"
                ) from error
            self._read_entries += 1
            self._read_bytes += len(line)
            if self._read_entries > log_number_from:
                yield entry

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries, all or none.

        Raises:
            OSError: if the disk is full or gone; the file is as it was. JournalDeleted: if it is gone.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._locked():
            if os.fstat(self._file).st_nlink == 0:  # what is written to it would be gone with this process
                raise JournalDeleted(errno.ENOENT, "deleted while the search ran", str(self.path))
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
