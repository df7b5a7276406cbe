"""Ray Tune's ASHA over epochs, with its rungs rebuilt from the ledger when a study goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.ledger import Ledger, TrialRecord
from search.settings import StudySettings


class LedgerASHA(ASHAScheduler):
    """Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020).

    `stopped` holds Tune's ids of the trials that it stopped before they ended by themselves.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings):
        super().__init__(
            time_attr="epoch",
            metric="mean_iou",
            mode="max",
            max_t=settings.max_epochs,
            grace_period=settings.grace_epochs,
            reduction_factor=settings.reduction_factor,
        )
        self.stopped: set[str] = set()
        self.overdue: list[int] = []
        """Running trials that an earlier driver would have stopped, had it lived to tell the ledger."""
        for record in ledger.records():
            self.on_trial_add(None, SimpleNamespace(config={"number": record.number}))
            decision = self._replay(record)
            if record.state == "running" and decision == TrialScheduler.STOP:
                self.overdue.append(record.number)

    def _replay(self, record: TrialRecord) -> str | None:
        """What it decides of the last epoch."""
        decision = None
        for report in record.reports:
            if report.mean_iou is not None and not report.diverged:
                values = {"epoch": report.epoch, "mean_iou": report.mean_iou}
                decision = super().on_trial_result(None, _of(record.number), values)
        return decision

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(None, _of(trial.config["number"]))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        of = _of(trial.config["number"])
        if result["ended"] is not None:
            # It ends by itself, so it is left to: a stop would kill its process, and leave a worker group behind.
            # What a diverged trial scored says nothing about the others: it enters no rung.
            if result["ended"] != "diverged":
                super().on_trial_result(None, of, result)
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(None, of, result)
        if decision == TrialScheduler.STOP:
            self.stopped.add(trial.trial_id)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._trial_info.pop(_of(trial.config["number"]).trial_id, None)  # its last result is in the rungs already

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._trial_info.pop(_of(trial.config["number"]).trial_id, None)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth


def _of(number: int) -> Any:
    """What ASHA knows a trial by: its number. A trial that goes on is another one to Tune, and the same one in the
    rungs."""
    return SimpleNamespace(trial_id=str(number))
