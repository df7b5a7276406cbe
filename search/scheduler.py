"""Ray Tune's ASHA over epochs, with its rungs rebuilt from the ledger when a study goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.audit import is_audited
from search.judge import Judge
from search.ledger import Ledger
from search.settings import StudySettings
from search.trial_record import TrialRecord


class LedgerASHA(ASHAScheduler):
    """Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020).

    `stopped` holds Tune's ids of the trials that it stopped before they ended by themselves. It pauses none.

    Args:
        ledger: of the study.
        settings: of the study.
        audit: part of the trials that run on when they are to be stopped, to see whether that is right; from then on
            they enter no rung.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0):
        super().__init__(
            time_attr="epoch",
            metric="mean_iou",
            mode="max",
            max_t=settings.max_epochs,
            grace_period=settings.grace_epochs,
            reduction_factor=settings.reduction_factor,
        )
        self.seed, self.audit = settings.seed, audit
        self.stopped: set[str] = set()
        self.paused: set[str] = set()
        self.waiting: list[int] = []
        self.promotable = False
        self._judge = Judge(settings.judge)
        self.audited: dict[int, int] = {}
        """By number of a trial that runs on, the epoch behind which it was to be stopped."""
        self.overdue: list[int] = []
        """Running trials that an earlier driver would have stopped, had it lived to tell the ledger."""
        for record in ledger.records():
            self.on_trial_add(None, SimpleNamespace(config={"number": record.number}))
            if record.audited is not None:
                self.audited[record.number] = record.audited
            decision = self._replay(record)
            if record.state == "running" and decision == TrialScheduler.STOP and record.audited is None:
                self.overdue.append(record.number)

    def _replay(self, record: TrialRecord) -> str | None:
        """What it decides of the last epoch."""
        decision = None
        for report in record.reports:
            if record.audited is not None and report.epoch > record.audited:
                break
            if report.mean_iou is not None and not report.diverged:
                judged = self._judge(record.number, report.mean_iou)
                values = {"epoch": report.epoch, "mean_iou": judged}
                decision = super().on_trial_result(None, _of(record.number), values)
        return decision

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(None, _of(trial.config["number"]))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, of = trial.config["number"], _of(trial.config["number"])
        if number in self.audited:
            return TrialScheduler.CONTINUE
        if result["ended"] is not None:
            # It ends by itself, so it is left to: a stop would kill its process, and leave a worker group behind.
            # What a diverged trial scored says nothing about the others: it enters no rung.
            if result["ended"] != "diverged":
                super().on_trial_result(None, of, self._judged(number, result))
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(None, of, self._judged(number, result))
        if decision == TrialScheduler.STOP and is_audited(self.seed, number, self.audit):
            self.audited[number] = result["epoch"]
            return TrialScheduler.CONTINUE
        if decision == TrialScheduler.STOP:
            self.stopped.add(trial.trial_id)
        return decision

    def _judged(self, number: int, result: dict[str, Any]) -> dict[str, Any]:
        return result | {"mean_iou": self._judge(number, result["mean_iou"])}

    def promote(self, *, last: bool = False) -> int | None:
        return None

    def hopeless(self) -> list[int]:
        return []

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
