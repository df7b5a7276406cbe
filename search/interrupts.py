"""Ctrl-C, SIGTERM and a closed terminal, as one exception that knows which of them it was."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from search.formatting import clean

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """This process was asked to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.exit_code = 128 + number


def heard_signals() -> list[signal.Signals]:
    """Those that end this process: not what it was told to ignore, as `nohup` does with SIGHUP."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def raise_on_signals() -> None:
    """Let each of them raise Interrupted from now on.

    What runs at that moment may lose the exception, as Python's clean-up of objects does; `raise_if_asked` does not.
    """
    _notes.open()
    for number in heard_signals():
        signal.signal(number, _raise)


def interrupted(error: KeyboardInterrupt, what_next: str) -> int:
    """Say so in a line; returns the exit code."""
    print(clean(f"interrupted: {what_next}"), file=sys.stderr)
    return error.exit_code if isinstance(error, Interrupted) else 128 + signal.SIGINT


def raise_if_asked() -> None:
    """Raises Interrupted if a signal has asked this process to end, whoever handled it."""
    if (number := first_signal()) is not None:
        raise Interrupted(number)


def first_signal() -> int | None:
    """The first signal that asked this process to end, if one did."""
    return _notes.first()


class _Notes:
    """Python's own note of each signal that comes: it is taken before any handler is called, also one of Ray's."""

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        self._came: list[int] = []

    def open(self) -> None:
        if self._ends is None:
            self._ends = os.pipe()
            for end in self._ends:
                os.set_blocking(end, False)
            signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)

    def first(self) -> int | None:
        if self._ends is not None:
            with suppress(BlockingIOError):
                self._came += [number for number in os.read(self._ends[0], 4096) if number in SIGNALS]
        return self._came[0] if self._came else None

    def close(self) -> None:
        if self._ends is not None:
            signal.set_wakeup_fd(-1)
            for end in self._ends:
                os.close(end)
        self._ends, self._came = None, []


_notes = _Notes()


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
