"""ASHA as published: a trial pauses at each rung, and the best of a rung are promoted to the next."""

from __future__ import annotations

import bisect

from search.ledger.ledger import Ledger
from search.ledger.records import PAUSE, TrialRecord
from search.scheduling.decisions import DecidingScheduler
from search.study.settings import StudySettings

RungEntry = tuple[float, int]
"""A trial's entry in a rung: its negated score, and its number; smaller entries are better."""
MAX_PAUSED_PER_RUNG = 4
"""Paused trials that a rung keeps with their checkpoints, besides its best; the others are evicted."""


class AshaPromotion(DecidingScheduler):
    """Asynchronous successive halving by promotion (Li et al., "A System for Massively Parallel Hyperparameter Tuning",
    2020, algorithm 2). The arguments are those of `DecidingScheduler`.

    `AshaStopping` lets the first trials of a study run on, because there are no others to compare them with. Here no
    trial continues beyond a rung before it is among the best of those that reached it. In the ledger a paused trial is
    in the state "running", but no process runs it. When it is promoted, it resumes from its checkpoint like an
    interrupted one. The ledger records which trials were paused, and which have been promoted since.
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
        """By trial number, the last rung that the trial entered, and its entry there."""
        self._evicted: list[tuple[int, RungEntry]] = []
        """Evicted trials that have not ended yet."""
        records = ledger.records()
        for record in records:
            self._replay(record)
        self._remember(records)

    def _remember(self, records: list[TrialRecord]) -> None:
        """Restore which trials are paused, and which were evicted."""
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
        """Evict the paused trials of a rung that are neither among its best nor next to them; return their numbers.

        The best are not counted, so that the evicted trials do not depend on whether slots were free for promotions.
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
        """Numbers of the paused trials, including evicted ones that have not ended yet."""
        ends = [number for _, (_, number) in self._evicted]
        return sorted([*ends, *(number for paused in self._waiting.values() for _, number in paused)])

    def promote(self, *, last: bool = False) -> int | None:
        """Return the paused trial to resume next: the best of the highest rung that has a paused one among its best.

        `last`: no new trial will follow, so the best of a rung resumes even if the rung is small. This way a study ends
        with a complete trial.
        """
        if (found := self._next(last)) is None:
            return None
        epoch, place = found
        self.ledger.promote(place[1], epoch)
        self._waiting[epoch].remove(place)
        return place[1]

    @property
    def promotable(self) -> bool:
        """Whether a paused trial resumes when no new trial follows."""
        return self._next(last=True) is not None

    def _next(self, last: bool) -> tuple[int, RungEntry] | None:
        for epoch, paused in reversed(self._waiting.items()):
            if paused and self._is_among_best(best := min(paused), epoch, least=int(last)):
                return epoch, best
        return None

    def pop_evicted(self) -> list[int]:
        """Return the numbers of the evicted trials, each of them once."""
        ended = [number for _, (_, number) in sorted(self._evicted)]
        self._evicted.clear()
        return ended
