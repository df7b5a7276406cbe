"""Keeps only the checkpoints that something still needs."""

from __future__ import annotations

from contextlib import suppress

from search.leaderboard import ranked
from search.recorder import Watcher
from search.trial_record import TrialRecord
from trainables.trial import checkpoint_store, stored_trials

KEPT = 3
"""The best trials of a search whose weights stay; running trials keep all they need to resume."""


class Housekeeping(Watcher):
    """Deletes an ended trial's resume state at once, and its weights when it is not among the best.

    Storage that does not answer stops no search: what could not be deleted is when the study goes on.

    Args:
        checkpoints: the study's root path or URI.
        past: trials of earlier runs; what a killed driver left of them is deleted.
        kept: how many of the best trials keep their weights; None: every trial.
    """

    def __init__(self, checkpoints: str, past: list[TrialRecord], kept: int | None = KEPT):
        self.checkpoints, self.kept = checkpoints, kept
        running = {record.number for record in past if not record.has_ended}
        self._best = ranked([record for record in past if record.has_ended])[: self.kept]
        best = {record.number for record in self._best}
        with suppress(OSError):
            for number in stored_trials(checkpoints) - running:
                checkpoint_store(checkpoints, number).keep(*(["best"] if number in best else []))

    def trial_ended(self, record: TrialRecord) -> None:
        candidates = [*(other for other in self._best if other.number != record.number), record]
        self._best = ranked(candidates)[: self.kept]
        with suppress(OSError):
            checkpoint_store(self.checkpoints, record.number).keep("best")
            for other in candidates:
                if other not in self._best:
                    checkpoint_store(self.checkpoints, other.number).keep()
