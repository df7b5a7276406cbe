"""Decisions of a scheduler after each epoch: made once, written with the epoch, and read by the next driver."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.ledger.ledger import Ledger
from search.ledger.records import AUDIT, CONTINUE, PAUSE, STOP, TrialRecord
from search.scheduling.false_stops import is_audited
from search.study.rung_metric import RungMetric
from search.study.settings import StudySettings


class DecidingScheduler(FIFOScheduler):
    """A Ray Tune scheduler whose decisions are recorded in the ledger, so that a continued study keeps them.

    A decision depends on what the other trials had reported at that time. The order of these reports is not recorded,
    so the decision could not be reproduced. Only decisions that a ledger of an earlier version lacks are made when it
    is read.

    Trials are identified by number: a trial that resumes is a new one for Tune, but the same one here.

    Args:
        ledger: ledger of the study.
        settings: settings of the study.
        audit: fraction of the trials that run on instead of being stopped or paused, to see how they end; from then
            on they enter no rung.
        options: arguments of the Tune scheduler that a subclass also inherits from.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0, **options: Any):
        super().__init__(**options)
        self.ledger, self.seed, self.audit = ledger, settings.seed, audit
        self.stopped: set[str] = set()
        """Tune's ids of the trials that were stopped for good."""
        self.paused: set[str] = set()
        """Tune's ids of the trials that were paused."""
        self.audited: dict[int, int] = {}
        """By number of an audited trial, the epoch after which it would have been stopped or paused."""
        self.overdue: list[int] = []
        """Running trials that an earlier driver had decided to end, but did not end."""
        self._judge = RungMetric(settings.rung_metric)
        self._last: dict[int, tuple[int, str]] = {}
        """By trial number, the last epoch that was decided, and the decision."""

    def _enter(self, number: int, epoch: int, score: float) -> bool:
        """Add a trial to the rung at that epoch, if there is one; return whether the trial continues.

        `score` is its rung metric.
        """
        raise NotImplementedError

    def _hold_back(self, number: int, epoch: int) -> tuple[str, tuple[int, ...]]:
        """Return whether a trial that does not continue is stopped or paused, and the paused trials that it evicts."""
        raise NotImplementedError

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after an epoch. A second call returns the same decision: Tune repeats the last epoch of a trial."""
        number, epoch = trial.config["number"], result["epoch"]
        decided, decision = self._last.get(number, (0, CONTINUE))
        if decided != epoch:
            decision, ends = self._decide(number, epoch, result)
            self._last[number] = (epoch, decision)
            self.ledger.decide(number, epoch, decision, ends)
        if decision == STOP:
            self.stopped.add(trial.trial_id)
        elif decision == PAUSE:
            self.paused.add(trial.trial_id)
        return TrialScheduler.STOP if decision in (STOP, PAUSE) else TrialScheduler.CONTINUE

    def _decide(self, number: int, epoch: int, result: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
        # The scores of a diverged trial are not comparable with others: it enters no rung.
        if number in self.audited or result["ended"] == "diverged" or result["score"] is None:
            return CONTINUE, ()
        continues = self._enter(number, epoch, self._judge(number, result["score"]))
        # A trial that ends by itself is not stopped: that would kill its process, and leave its worker group running.
        if continues or result["ended"] is not None:
            return CONTINUE, ()
        if self._draws_audit(number, epoch):
            return AUDIT, ()
        return self._hold_back(number, epoch)

    def _draws_audit(self, number: int, epoch: int) -> bool:
        if is_audited(self.seed, number, epoch, self.audit):
            self.audited[number] = epoch
        return number in self.audited

    def _replay(self, record: TrialRecord) -> bool:
        """Add a trial's epochs to the rungs; return whether the rungs, as they are now, let it continue."""
        # If an audit was recorded before its epoch, the epoch will be reported again, and decided then.
        if record.audited is not None and record.audited <= record.reported_epochs:
            self.audited[record.number] = record.audited
        continues = True
        for report in record.reports:
            if report.epoch > self.audited.get(record.number, report.epoch):
                break
            if report.score is not None and not report.diverged:
                continues = self._enter(record.number, report.epoch, self._judge(record.number, report.score))
        return continues

    def _is_open(self, record: TrialRecord) -> bool:
        """Return whether a trial may be paused or have to stop: it has not ended or failed, and is not audited."""
        return record.state == "running" and not record.broke_for_good and record.number not in self.audited

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
