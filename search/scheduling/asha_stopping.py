"""Ray Tune's ASHA over epochs, with its rungs rebuilt from the ledger when a study resumes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.ledger.ledger import Ledger
from search.ledger.records import STOP
from search.scheduling.decisions import DecidingScheduler
from search.study.settings import StudySettings


class AshaStopping(DecidingScheduler, ASHAScheduler):
    """Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020).

    It stops trials early, and pauses none. The arguments are those of `DecidingScheduler`.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0):
        super().__init__(
            ledger,
            settings,
            audit=audit,
            time_attr="epoch",
            metric="score",
            mode="max",
            max_t=settings.max_epochs,
            grace_period=settings.grace_epochs,
            reduction_factor=settings.reduction_factor,
        )
        self.waiting: list[int] = []
        self.promotable = False
        for record in ledger.records():
            self.on_trial_add(None, SimpleNamespace(config={"number": record.number}))
            continues = self._replay(record)
            if not self._is_open(record):
                continue
            undecided = record.decision is None and not continues
            if record.decision == STOP or (undecided and not self._draws_audit(record.number, record.reported_epochs)):
                self.overdue.append(record.number)

    def _enter(self, number: int, epoch: int, score: float) -> bool:
        values = {"epoch": epoch, "score": score}
        return ASHAScheduler.on_trial_result(self, None, _of(number), values) != TrialScheduler.STOP

    def _hold_back(self, number: int, epoch: int) -> tuple[str, tuple[int, ...]]:
        return STOP, ()

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(None, _of(trial.config["number"]))

    def promote(self, *, last: bool = False) -> int | None:
        return None

    def pop_evicted(self) -> list[int]:
        return []

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._trial_info.pop(_of(trial.config["number"]).trial_id, None)  # the rungs already have its last result

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._trial_info.pop(_of(trial.config["number"]).trial_id, None)


def _of(number: int) -> Any:
    """Return an object by which ASHA identifies a trial: its id is the trial's number."""
    return SimpleNamespace(trial_id=str(number))
