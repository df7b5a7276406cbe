"""The time budget of a run (`--time-budget`)."""

from __future__ import annotations

import time


class TimeBudget:
    """The time that a run may take, from now on.

    Args:
        seconds: duration; None: no limit.
    """

    def __init__(self, seconds: float | None):
        self._deadline = None if seconds is None else time.monotonic() + seconds

    @property
    def spent(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline
