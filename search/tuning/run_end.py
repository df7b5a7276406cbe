"""Ends a run before its study is finished: after Ctrl-C, when a limit is reached (`limits`), or when the storage
fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune

from search.exit_status import BROKEN
from search.storage.journal import JournalLost
from search.tuning.limits.time_budget import TimeBudget
from search.tuning.running_trials import RunningTrials

CONTINUES = ": the same command continues the study"


class Stopping(tune.Stopper):
    """Ends the run once there is a `reason`: no trial starts, and each running one stops at its next report.

    A checkpoint is saved before each report. Trials that stop stay running in the ledger: the same command resumes
    them.

    Args:
        time_budget: seconds from now until the run ends; None: no limit.
    """

    def __init__(self, time_budget: float | None = None):
        self.reason: str | None = None
        """Why the run ends, and what to do; None while it continues."""
        self.exit_code = 0
        self.unwritable = False
        """Whether the ledger can no longer be written."""
        self.lost = False
        """Whether the ledger was moved, deleted or changed by something else."""
        self.spent_with_report: Callable[[], bool] = lambda: False
        """Whether a budget is spent once the report counts about which Tune asks; `Budgets` sets it. Tune asks before
        the callbacks get the report: without this, the report's trial would train one more epoch."""
        self.running = RunningTrials()
        """The run's trials; the recorder and the searcher keep the table."""
        self._time = TimeBudget(time_budget)

    def stop(self, reason: str, exit_code: int) -> None:
        """End the run. If it is already ending, the first reason is kept."""
        if self.reason is None:
            self.reason, self.exit_code = reason, exit_code

    def cannot_write(self, error: OSError) -> None:
        """End the run without writing anything more. The trials' checkpoints hold what the ledger lacks."""
        self.unwritable = True
        if isinstance(error, JournalLost):
            self.lost = True
            self.stop(f"the study's ledger is lost ({error}): restore it, or start a new study", BROKEN)
        self.stop(f"the study cannot be written ({error}); once that is fixed{CONTINUES}", BROKEN)

    @property
    def over(self) -> bool:
        if self._time.spent:
            self.stop(f"the time budget is spent{CONTINUES}", 0)
        return self.reason is not None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        # A trial that ends by itself is not stopped: that would leave its worker group running.
        return result.get("ended") is None and (self.over or self.spent_with_report())

    def stop_all(self) -> bool:
        return self.over and not self.running.started

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never read: the ledger is the source of truth
