"""Keeps only the checkpoints that something still needs."""

from __future__ import annotations

from contextlib import suppress

from search.leaderboard import ranked
from search.recorder import Watcher
from search.study_root import Marker
from search.trial_record import TrialRecord
from trainables.trial import checkpoint_store, stored_trials

KEPT = 3
"""The best trials of a search whose weights stay; running trials keep all they need to resume."""


class Housekeeping(Watcher):
    """Deletes an ended trial's resume state at once, and its weights when it is not among the best.

    Nothing is deleted from a place whose marker is not this run's: it is another's by then. Storage that does not
    answer stops no search: what could not be deleted is when the study goes on.

    Args:
        checkpoints: the study's root path or URI.
        past: trials of earlier runs; what a killed driver left of them is deleted.
        kept: how many of the best trials keep their weights; None: every trial.
        marker: of this run of the study (`search.study_root.claim`); None: of a study that has none.
    """

    def __init__(
        self, checkpoints: str, past: list[TrialRecord], kept: int | None = KEPT, marker: Marker | None = None
    ):
        self.checkpoints, self.kept, self.marker = checkpoints, kept, marker
        running = {record.number for record in past if not record.has_ended}
        self._best = ranked([record for record in past if record.has_ended])[: self.kept]
        best = {record.number for record in self._best}
        with suppress(OSError, ValueError):
            for number in stored_trials(checkpoints) - running if self._is_ours() else ():
                checkpoint_store(checkpoints, number).keep(*(["best"] if number in best else []))

    def trial_ended(self, record: TrialRecord) -> None:
        candidates = [*(other for other in self._best if other.number != record.number), record]
        self._best = ranked(candidates)[: self.kept]
        with suppress(OSError, ValueError):
            if not self._is_ours():
                return
            checkpoint_store(self.checkpoints, record.number).keep("best")
            for other in candidates:
                if other not in self._best:
                    checkpoint_store(self.checkpoints, other.number).keep()

    def _is_ours(self) -> bool:
        """Raises ValueError if the marker is damaged."""
        return Marker.read(self.checkpoints) == self.marker
