"""ASHA as its authors wrote it: a trial pauses at each rung, and the best of a rung are promoted to the next."""

from __future__ import annotations

import bisect

from search.ledger.ledger import Ledger
from search.ledger.records import PAUSE, TrialRecord
from search.scheduling.decisions import DecidingScheduler
from search.study.settings import StudySettings

RungEntry = tuple[float, int]
"""Of a trial in a rung: its score with the sign changed, and its number; smaller ones are better."""
MAX_PAUSED_PER_RUNG = 4
"""Paused trials that a rung keeps with their checkpoints, besides its best; the others end."""


class AshaPromotion(DecidingScheduler):
    """Asynchronous successive halving by promotion (Li et al., "A System for Massively Parallel Hyperparameter Tuning",
    2020, algorithm 2). The arguments are those of `DecidingScheduler`.

    Where `AshaStopping` lets the first trials of a study run on for want of others to compare them with, none goes
    beyond a rung here before it is among the best of those that reached it. A paused trial is a running one of the
    ledger that nobody runs: promoted, it resumes from its checkpoint as one does that was interrupted. The ledger knows
    who was paused and who was promoted since.
    """

    def __init__(self, ledger: Ledger, settings: StudySettings, *, audit: float = 0.0):
        super().__init__(ledger, settings, audit=audit)
        self.rungs: dict[int, list[RungEntry]] = {}
        """By epoch, the trials that reached it, best first."""
        epoch = settings.grace_epochs
        while epoch < settings.max_epochs:
            self.rungs[epoch] = []
            epoch *= settings.reduction_factor
        self.factor = settings.reduction_factor
        self._waiting: dict[int, list[RungEntry]] = {epoch: [] for epoch in self.rungs}
        self._places: dict[int, tuple[int, RungEntry]] = {}
        """By number, the last rung that the trial entered and its place there."""
        self._evicted: list[tuple[int, RungEntry]] = []
        """Paused trials that are to end, and have not ended yet."""
        records = ledger.records()
        for record in records:
            self._replay(record)
        self._remember(records)

    def _remember(self, records: list[TrialRecord]) -> None:
        """Find who waits, and who was to end."""
        ends = {number for record in records for number in record.ends}
        promoted = {trial for record in records for trial in record.promoted}
        undecided = set()
        for record in records:
            number, epoch = record.number, record.reported_epochs
            reached, place = self._places.get(number, (None, (0.0, number)))
            if not self._is_open(record) or record.decision not in (PAUSE, None):
                continue
            if reached != epoch or (number, epoch) in promoted:
                continue
            if number in ends:
                self.overdue.append(number)
                continue
            if record.decision is None:
                undecided.add(epoch)
                if not self._is_among_best(place, epoch) and self._draws_audit(number, epoch):
                    continue
            self._waiting[epoch].append(place)
        for epoch in undecided:
            self._evict(epoch)

    def _enter(self, number: int, epoch: int, score: float) -> bool:
        if epoch not in self.rungs:
            return True
        place = (-score, number)
        self._places[number] = epoch, place
        bisect.insort(self.rungs[epoch], place)
        return self._is_among_best(place, epoch)

    def _hold_back(self, number: int, epoch: int) -> tuple[str, tuple[int, ...]]:
        self._waiting[epoch].append(self._places[number][1])
        return PAUSE, self._evict(epoch)

    def _evict(self, epoch: int) -> tuple[int, ...]:
        """End the paused trials of a rung that are neither among its best nor next to them; returns their numbers.

        The best do not count, so that the same ones end whether slots were free to promote them meanwhile or not.
        """
        paused = sorted(self._waiting[epoch])
        kept = MAX_PAUSED_PER_RUNG + sum(self._is_among_best(place, epoch) for place in paused)
        self._waiting[epoch] = paused[:kept]
        self._evicted += [(epoch, place) for place in paused[kept:]]
        return tuple(number for _, number in paused[kept:])

    def _is_among_best(self, place: RungEntry, epoch: int, least: int = 0) -> bool:
        rung = self.rungs[epoch]
        return bisect.bisect_left(rung, place) < max(least, len(rung) // self.factor)

    @property
    def waiting(self) -> list[int]:
        """Numbers of the paused trials, those included that are to end and have not ended yet."""
        ends = [number for _, (_, number) in self._evicted]
        return sorted([*ends, *(number for paused in self._waiting.values() for _, number in paused)])

    def promote(self, *, last: bool = False) -> int | None:
        """The paused trial to resume next: of the highest rung that has one among its best, the best of these.

        `last`: no new trial will follow, so the best of a rung resumes however few they are. A study ends with a whole
        trial.
        """
        if (found := self._next(last)) is None:
            return None
        epoch, place = found
        self.ledger.promote(place[1], epoch)
        self._waiting[epoch].remove(place)
        return place[1]

    @property
    def promotable(self) -> bool:
        """Whether one of them is to resume when no new trial follows."""
        return self._next(last=True) is not None

    def _next(self, last: bool) -> tuple[int, RungEntry] | None:
        for epoch, paused in reversed(self._waiting.items()):
            if paused and self._is_among_best(best := min(paused), epoch, least=int(last)):
                return epoch, best
        return None

    def pop_evicted(self) -> list[int]:
        """Numbers of the paused trials that are to end; each comes once."""
        ended = [number for _, (_, number) in sorted(self._evicted)]
        self._evicted.clear()
        return ended
