"""Ctrl-C, SIGTERM and a closed terminal, as one exception that knows which of them it was."""

from __future__ import annotations

import signal
import sys
from types import FrameType

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
    for number in heard_signals():
        signal.signal(number, _raise)


def interrupted(error: KeyboardInterrupt, what_next: str) -> int:
    """Say so in a line; returns the exit code."""
    print(f"interrupted: {what_next}", file=sys.stderr)
    return error.exit_code if isinstance(error, Interrupted) else 128 + signal.SIGINT


def raise_if_asked() -> None:
    """Raises Interrupted if a signal has asked this process to end."""
    if _asked:
        raise Interrupted(_asked[0])


_asked: list[int] = []
"""The signals that have come, in order."""


def _raise(number: int, frame: FrameType | None) -> None:
    _asked.append(number)
    raise Interrupted(number)
