"""Which configuration comes next: the study's first points, then what the sampler proposes; none of those twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from optuna.trial import FrozenTrial

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.sampling.encoding import Encoding
from search.sampling.history import HistoryStudy, SamplerHistory
from search.sampling.samplers import sampler_for
from search.study.settings import StudySettings
from search.study.space import Space

ATTEMPTS, RANDOM_ATTEMPTS = 10, 200
"""Draws of a sampler, then of the random one, before a space counts as exhausted."""


Fits = Callable[[dict[str, Any]], bool]
"""Of a whole configuration, in the flat form of `TrialConfig`."""


class Proposer:
    """Proposes configurations that the study does not have yet.

    A proposal is a pure function of the ledger and the trial's number: a search that continues after an interruption
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
        self._visible, self._encoding = SamplerHistory(ledger), Encoding(space)
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
        study = HistoryStudy(seen, sampler)  # outside the ledger, so that the proposal enters there whole
        if point is not None:
            study.enqueue_trial(point)
        trial = study.ask()
        chosen = self.space.suggest(trial)
        config = self.settings.whole_config(chosen)
        return Proposal(params=trial.params, distributions=trial.distributions, config=config)


def _identity(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
