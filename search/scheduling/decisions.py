"""What a scheduler decides after each epoch: decided once, written with the epoch, remembered by the next driver."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.ledger.ledger import Ledger
from search.ledger.records import AUDIT, CONTINUE, PAUSE, STOP, TrialRecord
from search.scheduling.false_stops import is_audited
from search.study.rung_metric import RungMetric
from search.study.settings import StudySettings


class DecidingScheduler(FIFOScheduler):
    """A scheduler of Tune whose decisions the ledger knows, so that a resumed study remembers them.

    A decision depends on what the other trials had reported by then, and in which order they did is nowhere written: it
    could not be made again. Only what a ledger of an earlier version does not say is decided when it is read.

    Trials are known by number: one that resumes is another one to Tune, and the same one here.

    Args:
        ledger: of the study.
        settings: of the study.
        audit: part of the trials that run on instead of being stopped or paused, to see what comes of them; from then
            on they enter no rung.
        options: of the class of Tune's that this one is mixed with.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0, **options: Any):
        super().__init__(**options)
        self.ledger, self.seed, self.audit = ledger, settings.seed, audit
        self.stopped: set[str] = set()
        """Tune's ids of the trials that it stopped for good."""
        self.paused: set[str] = set()
        """Tune's ids of the trials that it paused."""
        self.audited: dict[int, int] = {}
        """By number of a trial that runs on, the epoch after which it was to be stopped or paused."""
        self.overdue: list[int] = []
        """Running trials that an earlier driver had decided to end, had it lived to write that."""
        self._judge = RungMetric(settings.rung_metric)
        self._last: dict[int, tuple[int, str]] = {}
        """By number, the epoch that was decided last, and what was decided."""

    def _enter(self, number: int, epoch: int, score: float) -> bool:
        """Put a trial into the rung after that epoch, if there is one; returns whether it continues after it.

        `score` is what it is judged by.
        """
        raise NotImplementedError

    def _hold_back(self, number: int, epoch: int) -> tuple[str, tuple[int, ...]]:
        """Whether a trial that does not continue is stopped or paused, and the paused trials that end because of it."""
        raise NotImplementedError

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide of an epoch. Who asks again hears the same: Tune does, of the last epoch of a trial."""
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
        # What a diverged trial scored says nothing about the others: it enters no rung.
        if number in self.audited or result["ended"] == "diverged" or result["mean_iou"] is None:
            return CONTINUE, ()
        goes_on = self._enter(number, epoch, self._judge(number, result["mean_iou"]))
        # A trial that ends by itself is left to: a stop would kill its process, and leave a worker group.
        if goes_on or result["ended"] is not None:
            return CONTINUE, ()
        if self._draws_audit(number, epoch):
            return AUDIT, ()
        return self._hold_back(number, epoch)

    def _draws_audit(self, number: int, epoch: int) -> bool:
        if is_audited(self.seed, number, self.audit):
            self.audited[number] = epoch
        return number in self.audited

    def _replay(self, record: TrialRecord) -> bool:
        """Fill the rungs with a trial's epochs; returns whether the rungs, as they are now, let it continue."""
        # Of an audit that is known before its epoch is, the epoch will be reported again, and decided then.
        if record.audited is not None and record.audited <= record.reported_epochs:
            self.audited[record.number] = record.audited
        goes_on = True
        for report in record.reports:
            if report.epoch > self.audited.get(record.number, report.epoch):
                break
            if report.mean_iou is not None and not report.diverged:
                goes_on = self._enter(record.number, report.epoch, self._judge(record.number, report.mean_iou))
        return goes_on

    def _is_open(self, record: TrialRecord) -> bool:
        """Whether a trial may be waiting, or have to be stopped: it has not ended, is not to fail and is no audit."""
        return record.state == "running" and not record.broke_for_good and record.number not in self.audited

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
