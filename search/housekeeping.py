"""Keeps only the checkpoints that something still needs."""

from __future__ import annotations

from search.leaderboard import ranked
from search.ledger import TrialRecord
from search.recorder import Watcher
from trainables.trial import checkpoint_store

KEPT = 3
"""The best trials of a search whose weights stay; running trials keep all they need to resume."""


class Housekeeping(Watcher):
    """Deletes an ended trial's resume state at once, and its weights when it is not among the best.

    Args:
        checkpoints: the study's root path or URI.
        past: trials of earlier runs.
        kept: how many of the best trials keep their weights; None: every trial.
    """

    def __init__(self, checkpoints: str, past: list[TrialRecord], kept: int | None = KEPT):
        self.checkpoints, self.kept = checkpoints, kept
        self._ended = [record for record in past if record.has_ended]

    def trial_ended(self, record: TrialRecord) -> None:
        self._ended = [other for other in self._ended if other.number != record.number] + [record]
        checkpoint_store(self.checkpoints, record.number).delete("last")
        kept = ranked(self._ended)[: self.kept]
        for other in self._ended:
            if other not in kept:
                checkpoint_store(self.checkpoints, other.number).delete("best")
        self._ended = kept
