"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP) as one exception, with the exit code of the signal.

At most times they raise `Interrupted`; while trials run, the first one lets them finish their epoch.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from search.formatting import clean

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """This process was asked to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.exit_code = 128 + number


def heard_signals() -> list[signal.Signals]:
    """Return the signals that end this process, without those that it ignores, such as SIGHUP under `nohup`."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def raise_on_signals() -> None:
    """Raise Interrupted on each of these signals from now on.

    The exception is lost if the interrupted code swallows it, as finalizers of objects do; `raise_if_asked` raises it
    again.
    """
    _notes.open()
    for number in heard_signals():
        signal.signal(number, _raise)


def interrupted(error: KeyboardInterrupt, what_next: str) -> int:
    """Print a line about the interruption, and return the exit code."""
    print(clean(f"interrupted: {what_next}"), file=sys.stderr)
    return error.exit_code if isinstance(error, Interrupted) else 128 + signal.SIGINT


def raise_if_asked() -> None:
    """Raise Interrupted if a signal has asked this process to end, even if another handler took it."""
    if (number := first_signal()) is not None:
        raise Interrupted(number)


def first_signal() -> int | None:
    """Return the first signal that asked this process to end, or None."""
    return _notes.first()


@contextmanager
def ended_by_signals(end: Callable[[int], None]) -> Iterator[None]:
    """Context in which the first signal ends a run in order, and a second one raises Interrupted.

    Args:
        end: called with the exit code of the first signal. It must only note that the run is to end.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise Interrupted(number)
        asked = True
        end(128 + number)

    earlier = {number: signal.signal(number, handle) for number in {signal.SIGINT, *heard_signals()}}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


class _Notes:
    """Signals received so far, read from Python's wakeup file descriptor.

    Python writes each signal to it before it calls a handler, so signals that Ray's handlers take are included.
    """

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
