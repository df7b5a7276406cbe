"""Keeps only the checkpoints that something still needs."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from search.checkpoints.root import Marker
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from trainables.training.checkpoints import checkpoint_store, stored_trials

KEPT = 3
"""The best trials of a search whose weights stay; running trials keep all they need to resume."""


class CheckpointRetention(Callback):
    """Deletes an ended trial's resume state at once, and its weights when it is not among the best.

    Nothing is deleted from a place whose marker is not this run's: it is another's by then. Storage that does not
    answer stops no search: what could not be deleted is when the study continues.

    The weights of the best of the trials that the search began with stay as well: a report compares with them.

    Args:
        checkpoints: the study's root path or URI.
        past: trials of earlier runs; what a killed driver left of them is deleted.
        kept: how many of the best trials keep their weights; None: every trial.
        marker: of this run of the study (`search.checkpoints.root.claim`); None: of a study that has none.
        begun_with: numbers of the trials that the search began with.
    """

    def __init__(
        self,
        checkpoints: str,
        past: list[TrialRecord],
        kept: int | None = KEPT,
        marker: Marker | None = None,
        begun_with: Collection[int] = (),
    ):
        self.checkpoints, self.kept, self.marker, self.begun_with = checkpoints, kept, marker, begun_with
        running = {record.number for record in past if not record.has_ended}
        self._best = self._worth_keeping([record for record in past if record.has_ended])
        best = {record.number for record in self._best}
        with suppress(OSError, ValueError):
            for number in stored_trials(checkpoints) - running if self._is_ours() else ():
                checkpoint_store(checkpoints, number).keep(*(["best"] if number in best else []))

    def trial_ended(self, record: TrialRecord) -> None:
        candidates = [*(other for other in self._best if other.number != record.number), record]
        self._best = self._worth_keeping(candidates)
        with suppress(OSError, ValueError):
            if not self._is_ours():
                return
            checkpoint_store(self.checkpoints, record.number).keep("best")
            for other in candidates:
                if other not in self._best:
                    checkpoint_store(self.checkpoints, other.number).keep()

    def _worth_keeping(self, ended: list[TrialRecord]) -> list[TrialRecord]:
        best = ranked(ended)
        kept = best[: self.kept]
        begun_with = [record for record in best if record.number in self.begun_with][:1]
        return kept + [record for record in begun_with if record not in kept]

    def _is_ours(self) -> bool:
        """Raises ValueError if the marker is damaged."""
        return Marker.read(self.checkpoints) == self.marker
