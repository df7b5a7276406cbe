"""Ctrl-C, SIGTERM and a closed terminal while trials run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from search.interrupts import Interrupted, heard_signals
from search.tuning.run_end import CONTINUES, Stopping


@contextmanager
def ended_by_signals(stopping: Stopping) -> Iterator[None]:
    """Context in which a signal ends the run after the current epoch of each trial. A second one raises Interrupted."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise Interrupted(number)
        asked = True
        stopping.stop(f"interrupted{CONTINUES}", 128 + number)

    earlier = {number: signal.signal(number, handle) for number in {signal.SIGINT, *heard_signals()}}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
