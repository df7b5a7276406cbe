"""Standard output and standard errors that any text can be printed to, whether or not somebody reads them."""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
from typing import Any, TextIO

ESCAPED = "mars-search-escaped"
"""Name of the handler for characters that an encoding lacks."""
OF_TABLES = {"\N{HORIZONTAL ELLIPSIS}": ".", "\N{REPLACEMENT CHARACTER}": "?"}
"""Characters of tables, which keep their width."""


def prepare_streams() -> None:
    r"""Replace this process's standard streams.

    - Characters that the locale's encoding lacks, and bytes of file names that are no characters, are printed escaped
      (`\xe9`), but for those of tables.
    - A closed stream is /dev/null: otherwise the next file that is opened would take its place, and get the output.
    - What cannot be written, as on a full disk, is lost, without an error in the middle of a search; see `lost_output`.
    - If nobody reads the output any more (`| head`), the process ends as if its terminal had been closed (SIGHUP).
    """
    codecs.register_error(ESCAPED, _escaped)
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = _prepared(sys.stdout, 1)
    sys.stderr = _prepared(sys.stderr, 2)


def lost_output() -> OSError | None:
    """Return why a part of the output could not be written; None if all was, or if nobody wanted it."""
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return raw.lost if isinstance(raw, _Descriptor) else None


def _prepared(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None and _descriptor(stream) != number:
        return stream  # a program that runs the script has put a stream of its own there
    unbuffered = getattr(stream, "write_through", False)
    raw = _Descriptor(number)
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=ESCAPED,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=unbuffered,
    )


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start]
    only = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    return (OF_TABLES[lacking], error.start + 1) if lacking in OF_TABLES else codecs.backslashreplace_errors(only)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


class _Descriptor(io.FileIO):
    """Writes to a file descriptor; what cannot be written is lost.

    Args:
        number: the descriptor, which stays open.
    """

    def __init__(self, number: int):
        super().__init__(number, "wb", closefd=False)
        self.lost: OSError | None = None
        self._unread = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.lost = error
            elif self.fileno() == 1 and not self._unread:
                self._unread = True
                signal.raise_signal(signal.SIGHUP)
            return memoryview(data).nbytes
