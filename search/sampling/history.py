"""The trials of a study that a sampler reads."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Collection

from optuna.trial import FrozenTrial, TrialState

from search.ledger.ledger import Ledger

MOST_SEEN = 600
"""Maximum number of ended trials that a sampler reads: a suggestion of TPE takes time in proportion to it."""

BEST_SEEN = 200
"""Number of best trials among these; the others are the newest."""


class SamplerHistory:
    """The trials of a study that a sampler reads: all of them, or of many the best, the newest and the running ones.

    The ended trials are kept sorted, so that each proposal only adds the trials that have ended since the last one.
    """

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self._running: list[int] = []
        self._best: list[tuple[tuple[float, float], int]] = []
        self._newest: list[int] = []
        self._num_created = 0

    def at(self, number: int, waiting: Collection[int] = ()) -> list[FrozenTrial]:
        """Return the trials before the given number, by number. Paused trials appear as pruned: they do not run."""
        running, trials = [], self.ledger.frozen_trials()
        for candidate in (*self._running, *range(self._num_created, number)):
            trial = trials[candidate]
            if trial.state == TrialState.RUNNING:
                running.append(candidate)
            elif trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                bisect.insort(self._best, (_rank(trial), candidate))
                bisect.insort(self._newest, candidate)
        self._running, self._num_created = running, number
        del self._best[MOST_SEEN:], self._newest[:-MOST_SEEN]
        few = len(self._newest) < MOST_SEEN
        ended = self._newest if few else (*(n for _, n in self._best[:BEST_SEEN]), *self._newest[BEST_SEEN:])
        seen = sorted({*ended, *running})
        return [_as_pruned(trials[number]) if number in waiting else trials[number] for number in seen]


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    pruned = copy.copy(trial)
    pruned.state, pruned.value = TrialState.PRUNED, trial.intermediate_values[max(trial.intermediate_values)]
    return pruned


def as_complete(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials with each pruned one as complete, with the score of its last epoch as its value.

    That score is lower than what the trial would have reached. As ASHA prunes the worse ones, a model still learns from
    it what to avoid.
    """
    return [_as_complete(trial) for trial in trials]


def _as_complete(trial: FrozenTrial) -> FrozenTrial:
    if trial.state != TrialState.PRUNED or trial.value is None:
        return trial
    complete = copy.copy(trial)
    complete.state = TrialState.COMPLETE
    return complete


def _rank(trial: FrozenTrial) -> tuple[float, float]:
    """Return a sort key in TPE's order: complete trials by value, then pruned ones by last epoch and its value."""
    if trial.state == TrialState.COMPLETE:
        return -float("inf"), -trial.values[0] if trial.values else 0.0
    if not trial.intermediate_values:
        return 0.0, 0.0
    last = max(trial.intermediate_values)
    return -float(last), -trial.intermediate_values[last]
