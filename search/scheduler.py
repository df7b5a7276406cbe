"""Ray Tune's ASHA over epochs, with its rungs rebuilt from the ledger when a study goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.ledger import Ledger, TrialRecord
from search.settings import StudySettings


class LedgerASHA(ASHAScheduler):
    """Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020).

    `stopped` holds the ids of the trials that it stopped before they ended by themselves.
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
        self.ledger = ledger
        self.stopped: set[str] = set()
        for record in ledger.records():
            if record.has_ended:  # running ones come back through on_trial_add
                past = SimpleNamespace(trial_id=f"past trial {record.number}")
                super().on_trial_add(None, past)
                self._replay(past, record)

    def _replay(self, trial: Any, record: TrialRecord) -> None:
        for report in record.reports:
            if report.mean_iou is not None and not report.diverged:
                super().on_trial_result(None, trial, {"epoch": report.epoch, "mean_iou": report.mean_iou})

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        if trial.config["told_epochs"]:
            self._replay(trial, self.ledger.record(trial.config["number"]))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if result["ended"] is not None:
            # It ends by itself, so it is left to: a stop would kill its process, and leave a worker group behind.
            # What a diverged trial scored says nothing about the others: it enters no rung.
            if result["ended"] != "diverged":
                super().on_trial_result(tune_controller, trial, result)
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            self.stopped.add(trial.trial_id)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._trial_info.pop(trial.trial_id, None)  # its last result is in the rungs already

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._trial_info.pop(trial.trial_id, None)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
