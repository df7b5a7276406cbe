"""Proposals of new configurations: the study's first points, then the sampler's, of which none is repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from optuna.trial import FrozenTrial

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.sampling.encoding import Encoding
from search.sampling.history import SamplerHistory, as_complete
from search.sampling.history_study import HistoryStudy
from search.sampling.samplers import COMPLETE_ONLY, sampler_for
from search.study.settings import StudySettings
from search.study.space import Space

ATTEMPTS, RANDOM_ATTEMPTS = 10, 200
"""Draws of the sampler, then of the random sampler, before the space counts as exhausted."""


Fits = Callable[[dict[str, Any]], bool]
"""Whether a full configuration, in the flat form of `TrialConfig`, can be trained."""


class Proposer:
    """Proposes configurations that the study does not have yet.

    A proposal is a pure function of the ledger and the trial's number: a search that continues after an interruption
    proposes what it would have proposed without it.

    Args:
        ledger: ledger of the study.
        space: space of the configurations.
        settings: settings of the study.
        sampler: a key of `SAMPLERS`.
        fits: returns whether a configuration can be trained; the sampler's proposals that cannot are skipped.
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
        """Propose the configuration of the next trial, which will have that number; None if the space is exhausted.

        `waiting` holds the numbers of the paused trials.
        """
        seen = self._visible.at(number, waiting)
        if self.sampler in COMPLETE_ONLY:
            seen = as_complete(seen)
        if (point := self.ledger.first.get(number)) is not None:
            proposal = self._draw(seen, self.sampler, number, 0, point)
            self._known.add(_identity(proposal.config))
            return proposal  # even if it is a duplicate or does not fit: the user asked for it
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
        study = HistoryStudy(seen, sampler)  # not in the ledger, which gets the complete proposal in one entry
        if point is not None:
            study.enqueue_trial(point)
        trial = study.ask()
        chosen = self.space.suggest(trial)
        config = self.settings.whole_config(chosen)
        return Proposal(params=trial.params, distributions=trial.distributions, config=config)


def _identity(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
