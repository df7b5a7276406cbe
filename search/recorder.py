"""The one place where what happens in Tune becomes ledger entries, and where those who watch are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune

from search.ledger import Ledger, TrialRecord
from search.scheduler import LedgerASHA
from trainables.epoch_report import EpochReport


class Watcher:
    """Follows a study while it runs. Every method is called by the driver, behind the ledger's entry of it."""

    def trial_started(self, record: TrialRecord) -> None: ...

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None: ...

    def trial_ended(self, record: TrialRecord) -> None: ...


class Recorder(tune.Callback):
    """Writes each epoch and each end to the ledger before any watcher hears of it."""

    def __init__(self, ledger: Ledger, scheduler: LedgerASHA, watchers: list[Watcher]):
        self.ledger, self.scheduler, self.watchers = ledger, scheduler, watchers
        self._running: dict[int, TrialRecord] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        self._running[number] = self.ledger.record(number)
        for watcher in self.watchers:
            watcher.trial_started(self._running[number])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        number, report = trial.config["number"], EpochReport.from_dict(result)
        self.ledger.add_epoch(number, report)
        for watcher in self.watchers:
            watcher.epoch_ended(self._running[number], report)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        if trial.last_result.get("ended") is not None:
            self._ended(self.ledger.finish(number))
        elif trial.trial_id in self.scheduler.stopped:
            self._ended(self.ledger.prune(number))
        # Otherwise the search itself ends: the trial stays running in the ledger and goes on with the study.

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(self.ledger.fail(trial.config["number"], _error_text(trial)))

    def _ended(self, record: TrialRecord) -> None:
        self._running.pop(record.number, None)
        for watcher in self.watchers:
            watcher.trial_ended(record)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth


def _error_text(trial: Any) -> str:
    """The trial's traceback, as Tune kept it."""
    path = Path(trial.error_file) if trial.error_file else None
    return path.read_text().strip() if path and path.is_file() else "the trial's process ended without a message"
