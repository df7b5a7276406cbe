"""Which configuration comes next: the study's first points, then what the sampler proposes; none of those twice."""

from __future__ import annotations

import bisect
import copy
import json
from collections.abc import Callable, Collection, Container
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.encoding import Encoding
from search.ledger import Ledger
from search.samplers import sampler_for
from search.settings import StudySettings
from search.space import Space
from search.trial_record import Proposal

MOST_SEEN = 600
"""Ended trials that a sampler reads: a suggestion of TPE takes time in proportion to them."""
BEST_SEEN = 200
"""Of these the best ones; the others are the newest."""
ATTEMPTS, RANDOM_ATTEMPTS = 10, 200
"""Draws of a sampler, then of the random one, before a space counts as exhausted."""


Fits = Callable[[dict[str, Any]], bool]
"""Of a whole configuration, in the flat form of `TrialConfig`."""


class Proposer:
    """Proposes configurations that the study does not have yet.

    A proposal is a pure function of the ledger and the trial's number: a search that goes on after an interruption
    proposes what it would have proposed without.

    Args:
        ledger: of the study.
        space: what to choose from.
        settings: of the study.
        sampler: a key of `SAMPLERS`.
        fits: whether a configuration can be trained at all; others are passed over.
    """

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        settings: StudySettings,
        *,
        sampler: str,
        fits: Fits = lambda config: True,
    ):
        self.ledger, self.space, self.settings, self.sampler, self.fits = ledger, space, settings, sampler, fits
        self._visible, self._encoding = Visible(ledger), Encoding(space)
        self._known = {_identity(record.config) for record in ledger.records()}

    def propose(self, number: int, waiting: Collection[int] = ()) -> Proposal | None:
        """For the next trial, which will have that number; None where the space holds nothing new.

        `waiting` are the running trials that are paused.
        """
        seen = self._visible.at(number, waiting)
        if (point := self.ledger.first.get(number)) is not None:
            proposal = self._draw(seen, self.sampler, number, 0, point)
            self._known.add(_identity(proposal.config))
            return proposal  # also if another point comes to the same, or it does not fit: the user asked for it
        for attempt in range(ATTEMPTS + RANDOM_ATTEMPTS):
            proposal = self._draw(seen, self.sampler if attempt < ATTEMPTS else "random", number, attempt)
            if (identity := _identity(proposal.config)) not in self._known and self.fits(proposal.config):
                self._known.add(identity)
                return proposal
        return None

    def _draw(
        self, seen: list[FrozenTrial], name: str, number: int, attempt: int, point: dict[str, Any] | None = None
    ) -> Proposal:
        max_epochs = self.settings.max_epochs
        sampler = sampler_for(name, self.settings.seed, number, attempt, encoding=self._encoding, max_epochs=max_epochs)
        study = _Seen(seen, sampler)  # outside the ledger, so that the proposal enters there whole
        if point is not None:
            study.enqueue_trial(point)
        trial = study.ask()
        chosen = self.space.suggest(trial)
        config = self.settings.whole_config(chosen)
        return Proposal(params=trial.params, distributions=trial.distributions, config=config)


class Visible:
    """What a sampler reads of a study's trials: all of them, or of many the best, the newest and those that run.

    Keeps the order of those that have ended, so that the next proposal costs no more than what happened in between.
    """

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self._running: list[int] = []
        self._best: list[tuple[tuple[float, float], int]] = []
        self._newest: list[int] = []
        self._born = 0

    def at(self, number: int, waiting: Collection[int] = ()) -> list[FrozenTrial]:
        """By number, those before the given one. Paused ones look as pruned ones do: nobody works on them."""
        running, trials = [], self.ledger.frozen_trials()
        for candidate in (*self._running, *range(self._born, number)):
            trial = trials[candidate]
            if trial.state == TrialState.RUNNING:
                running.append(candidate)
            elif trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                bisect.insort(self._best, (_rank(trial), candidate))
                bisect.insort(self._newest, candidate)
        self._running, self._born = running, number
        del self._best[MOST_SEEN:], self._newest[:-MOST_SEEN]
        few = len(self._newest) < MOST_SEEN
        ended = self._newest if few else (*(n for _, n in self._best[:BEST_SEEN]), *self._newest[BEST_SEEN:])
        seen = sorted({*ended, *running})
        return [_as_pruned(trials[number]) if number in waiting else trials[number] for number in seen]


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    pruned = copy.copy(trial)
    pruned.state, pruned.value = TrialState.PRUNED, trial.intermediate_values[max(trial.intermediate_values)]
    return pruned


def _rank(trial: FrozenTrial) -> tuple[float, float]:
    """TPE's order: complete trials by value, then pruned ones by their last epoch and the value there."""
    if trial.state == TrialState.COMPLETE:
        return -float("inf"), -trial.values[0] if trial.values else 0.0
    if not trial.intermediate_values:
        return 0.0, 0.0
    last = max(trial.intermediate_values)
    return -float(last), -trial.intermediate_values[last]


class _Seen(optuna.Study):
    """A study of given trials, in which one more is drawn; nothing is written anywhere."""

    def __init__(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler):
        storage = InMemoryStorage()
        storage.create_new_study([StudyDirection.MAXIMIZE], "drafts")
        super().__init__("drafts", storage, sampler=sampler)
        self._seen = trials
        if trials and trials[0].number == 0:  # the number of the draft, which samplers leave out
            first = copy.copy(trials[0])
            first.number = trials[-1].number + 1
            self._seen = [first, *trials[1:]]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


def _identity(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
