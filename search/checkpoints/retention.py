"""Retention: deletes checkpoints that are no longer needed."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from search.checkpoints.root import Marker
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from trainables.training.checkpoint_store import checkpoint_store, stored_trials

KEPT = 3
"""Number of best trials whose weights are kept; running trials keep everything that they need to resume."""


class CheckpointRetention(Callback):
    """Deletes the resume state of each trial that ends, and its weights unless it is among the best.

    Nothing is deleted if the marker beside the checkpoints is not this run's, because another run then uses them.
    Errors of the storage do not stop the search: files that could not be deleted are deleted when the study continues.

    The weights of the best of the initial trials are kept as well, because the report compares with them.

    Args:
        checkpoints: path or URI of the study's checkpoints.
        past: trials of earlier runs; checkpoints that a killed driver did not delete are deleted.
        kept: number of best trials whose weights are kept; None: all trials.
        marker: marker of this run (see `search.checkpoints.root.claim`); None if the study has no marker.
        begun_with: numbers of the initial trials of the search.
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
        """Return whether the marker is this run's.

        Raises:
            ValueError: if the marker is damaged.
        """
        return Marker.read(self.checkpoints) == self.marker
