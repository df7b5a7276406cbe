"""Budgets of a study: epochs and GPU-hours."""

from __future__ import annotations

from search.ledger.costs import device_seconds
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.meter import Meter
from search.tuning.run_end import CONTINUES, Stopping
from trainables.messages import EpochReport


class Budgets(Callback):
    """Ends the run when a budget is spent. Unfinished trials stay running in the ledger and resume in a later run.

    Args:
        stopping: ends this run.
        meter: measures the trials that are running.
        past: trials of earlier runs, whose epochs and GPU-hours count.
        epochs: maximum number of epochs of all trials together; None: no limit. With the report that reaches it, its
            trial stops. The epochs that other trials have begun are trained to their end: up to one more for each.
        gpu_hours: maximum number of GPU-hours of all trials together; None: no limit.
    """

    def __init__(
        self, stopping: Stopping, meter: Meter, past: list[TrialRecord], *, epochs: int | None, gpu_hours: float | None
    ):
        self.stopping, self.meter, self.epochs, self.gpu_hours = stopping, meter, epochs, gpu_hours
        self._epochs = sum(len(record.reports) for record in past)
        self._gpu_seconds = {record.number: self._held(record) for record in past}
        stopping.spent_with_report = lambda: self._spent(self._epochs + 1) is not None
        self._check()

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self._epochs += 1
        self._check()

    def trial_ended(self, record: TrialRecord) -> None:
        self._gpu_seconds[record.number] = self._held(record)

    attempt_failed = trial_paused = trial_ended

    def _held(self, record: TrialRecord) -> float:
        return device_seconds(record, unknown=self.meter.demand)["GPU"]

    def _check(self) -> None:
        if (budget := self._spent(self._epochs)) is not None:
            self.stopping.stop(f"the budget of {budget} is spent{CONTINUES} with a larger one", 0)

    def _spent(self, epochs: int) -> str | None:
        """Return which budget is spent after that many epochs, if any."""
        if self.epochs is not None and epochs >= self.epochs:
            return f"{self.epochs} epochs"
        if self.gpu_hours is not None and self._gpu_hours() >= self.gpu_hours:
            return f"{self.gpu_hours:g} GPU-hours"
        return None

    def _gpu_hours(self) -> float:
        return (sum(self._gpu_seconds.values()) + self.meter.gpu_seconds) / 3600
