"""When a run ends before its study does: Ctrl-C, a spent budget, or storage that is gone."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray import tune

from search.exit_status import BROKEN
from search.interrupts import Interrupted, heard_signals
from search.storage.journal import JournalLost

CONTINUES = ": the same command continues the study"


class Stopping(tune.Stopper, tune.Callback):
    """Once there is a `reason`, no trial starts and each running one ends at its next report, which is saved by then.

    Such trials stay running in the ledger: the same command resumes them.

    Args:
        time_budget: seconds from now, if limited.
    """

    def __init__(self, time_budget: float | None = None):
        self.reason: str | None = None
        """Why the run ends, and what to do."""
        self.exit_code = 0
        self.unwritable = False
        """Whether the study's folder takes nothing any more."""
        self.lost = False
        """Whether somebody has moved, deleted or changed its ledger."""
        self.running: set[int] = set()
        """Numbers of the trials that have started and not ended."""
        self._deadline = None if time_budget is None else time.monotonic() + time_budget

    def stop(self, reason: str, exit_code: int) -> None:
        """End the run; the first reason stays."""
        if self.reason is None:
            self.reason, self.exit_code = reason, exit_code

    def cannot_write(self, error: OSError) -> None:
        """End the run; nothing more is to be written. The trials' own checkpoints hold what was not."""
        self.unwritable = True
        if isinstance(error, JournalLost):
            self.lost = True
            self.stop(f"the study is lost ({error}): put it back as it was, or begin another", BROKEN)
        self.stop(f"the study cannot be written ({error}); once that is put right{CONTINUES}", BROKEN)

    @property
    def over(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.stop(f"the time budget is spent{CONTINUES}", 0)
        return self.reason is not None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.add(trial.config["number"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.config["number"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.config["number"])

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        # One that ends by itself is left to: a stop would leave a worker group behind.
        return self.over and result.get("ended") is None

    def stop_all(self) -> bool:
        return self.over and not self.running

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a closed terminal end the run; a second one ends it at once, by Interrupted."""

        asked = False

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal asked
            if asked:
                raise Interrupted(number)
            asked = True
            self.stop(f"interrupted{CONTINUES}", 128 + number)

        earlier = {number: signal.signal(number, handle) for number in {signal.SIGINT, *heard_signals()}}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
