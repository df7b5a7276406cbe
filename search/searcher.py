"""What Ray Tune asks for configurations: the ledger's orphans first, then the sampler's suggestions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.ledger import Ledger
from search.samplers import sampler_for
from search.settings import StudySettings
from search.space import Space
from trainables.config import TrialConfig
from trainables.launchers import TrialRequest


def _normalise(flat: dict[str, Any]) -> dict[str, Any]:
    """Validated, with every default filled in."""
    return TrialConfig.from_flat(flat).to_flat()


class LedgerSearcher(Searcher):
    """Suggests `TrialRequest`s until the study holds as many trials as its budget.

    Args:
        ledger: of the study.
        space: what to choose from.
        settings: of the study.
        sampler: a key of `SAMPLERS`.
        budget: trials of the study, those of earlier runs counted in.
    """

    def __init__(self, ledger: Ledger, space: Space, settings: StudySettings, *, sampler: str, budget: int):
        super().__init__(metric="mean_iou", mode="max")
        self.ledger, self.space, self.settings = ledger, space, settings
        self.sampler, self.budget = sampler, budget
        records = ledger.records()
        self.trials = sum(record.state != "waiting" for record in records)  # those that wait are the last
        self.orphans = [record.number for record in records if record.state == "running"]

    @property
    def remaining(self) -> int:
        """Trials still to be suggested."""
        return len(self.orphans) + max(0, self.budget - self.trials)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if self.remaining == 0:
            return Searcher.FINISHED
        study, fixed = self.ledger.study, self.settings.fixed_config()
        if self.orphans:
            number = self.orphans.pop(0)
            study.sampler = sampler_for(self.sampler, self.settings.seed, number)
            record = self.ledger.revive(number, self.space, fixed, _normalise)
        else:
            study.sampler = sampler_for(self.sampler, self.settings.seed, self.trials)
            record = self.ledger.ask(self.space, fixed, _normalise)
            self.trials += 1
        told = record.reports[-1].epoch if record.reports else 0
        return asdict(TrialRequest(number=record.number, config=record.config, told_epochs=told))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The recorder tells the ledger; nothing is left to do here."""

    def save(self, checkpoint_path: str) -> None:
        """Tune's own snapshots: nobody reads them, the ledger is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, see save
