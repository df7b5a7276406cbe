"""ASHA as its authors wrote it: a trial pauses at each rung, and the best of a rung are promoted to the next."""

from __future__ import annotations

import bisect
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.audit import is_audited
from search.judge import Judge
from search.ledger import Ledger
from search.settings import StudySettings
from search.trial_record import TrialRecord

Place = tuple[float, int]
"""Of a trial in a rung: its score with the sign changed, and its number; smaller ones are better."""
WAITING = 4
"""Paused trials that a rung keeps with their checkpoints; the others have little hope and end."""


class LedgerPromotion(FIFOScheduler):
    """Asynchronous successive halving by promotion (Li et al., "A System for Massively Parallel Hyperparameter Tuning",
    2020, algorithm 2).

    Where `LedgerASHA` lets the first trials of a study run on for want of others to compare them with, none goes beyond
    a rung here before it is among the best of those that reached it. A paused trial is a running one of the ledger that
    nobody runs: promoted, it goes on from its checkpoint as one does that was interrupted. What waits, and for which
    rung, is rebuilt from the ledger.

    Args:
        ledger: of the study.
        settings: of the study.
        audit: part of the trials that run on instead of being paused, to see what comes of them; from then on they
            enter no rung.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0):
        super().__init__()
        self.seed, self.audit, self.factor = settings.seed, audit, settings.reduction_factor
        self.stopped: set[str] = set()
        """Tune's ids of the trials that it stopped for good: none, see `hopeless`."""
        self.paused: set[str] = set()
        """Tune's ids of the trials that it paused."""
        self.audited: dict[int, int] = {}
        """By number of a trial that runs on, the epoch behind which it was to be paused."""
        self.overdue: list[int] = []
        self.rungs: dict[int, list[Place]] = {}
        """By epoch, the trials that reached it, best first."""
        epoch = settings.grace_epochs
        while epoch < settings.max_epochs:
            self.rungs[epoch] = []
            epoch *= self.factor
        self._judge = Judge(settings.judge)
        self._waiting: dict[int, list[Place]] = {epoch: [] for epoch in self.rungs}
        for record in ledger.records():
            self._replay(record)

    def _replay(self, record: TrialRecord) -> None:
        if record.audited is not None:
            self.audited[record.number] = record.audited
        place = None
        for report in record.reports:
            if record.audited is not None and report.epoch > record.audited:
                return
            if report.mean_iou is not None and not report.diverged:
                place = self._enter(record.number, report.epoch, report.mean_iou)
        if record.state == "running" and record.audited is None and place is not None:
            self._waiting[record.told_epochs].append(place)

    def _enter(self, number: int, epoch: int, mean_iou: float) -> Place | None:
        """The trial's place in its rung, if it came to one."""
        score = self._judge(number, mean_iou)
        if epoch not in self.rungs:
            return None
        bisect.insort(self.rungs[epoch], place := (-score, number))
        return place

    def _is_among_best(self, place: Place, epoch: int, least: int = 0) -> bool:
        rung = self.rungs[epoch]
        return bisect.bisect_left(rung, place) < max(least, len(rung) // self.factor)

    @property
    def waiting(self) -> list[int]:
        """Numbers of the paused trials."""
        return sorted(number for paused in self._waiting.values() for _, number in paused)

    def promote(self, *, last: bool = False) -> int | None:
        """The paused trial to go on next: of the highest rung that has one among its best, the best of these.

        `last`: no new trial will follow, so the best of a rung goes on however few they are. A study ends with a whole
        trial.
        """
        if (found := self._next(last)) is None:
            return None
        epoch, place = found
        self._waiting[epoch].remove(place)
        return place[1]

    @property
    def promotable(self) -> bool:
        """Whether one of them is to go on when no new trial follows."""
        return self._next(last=True) is not None

    def _next(self, last: bool) -> tuple[int, Place] | None:
        for epoch, paused in reversed(self._waiting.items()):
            if paused and self._is_among_best(best := min(paused), epoch, least=int(last)):
                return epoch, best
        return None

    def hopeless(self) -> list[int]:
        """Numbers of the paused trials that are waited for no more."""
        ended = []
        for paused in self._waiting.values():
            paused.sort()
            ended += [number for _, number in paused[WAITING:]]
            del paused[WAITING:]
        return ended

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, epoch = trial.config["number"], result["epoch"]
        if number in self.audited:
            return TrialScheduler.CONTINUE
        if result["ended"] == "diverged":  # what it scored says nothing about the others
            return TrialScheduler.CONTINUE
        place = self._enter(number, epoch, result["mean_iou"])
        if result["ended"] is not None or place is None or self._is_among_best(place, epoch):
            return TrialScheduler.CONTINUE
        if is_audited(self.seed, number, self.audit):
            self.audited[number] = epoch
            return TrialScheduler.CONTINUE
        self._waiting[epoch].append(place)
        self.paused.add(trial.trial_id)
        return TrialScheduler.STOP

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
