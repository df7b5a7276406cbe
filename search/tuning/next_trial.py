"""Ray Tune's searcher: suggests first the trials that are to resume, then new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from search.ledger.ledger import Ledger
from search.sampling.proposer import Proposer
from search.scheduling.schedulers import Scheduler
from search.tuning.run_end import Stopping
from trainables.messages import TrialRequest


class LedgerSearcher(Searcher):
    """Suggests `TrialRequest`s until as many trials have ended as the budget of the study.

    Args:
        ledger: the study's ledger.
        proposer: proposes new configurations.
        scheduler: promotes paused trials, which then resume.
        budget: total number of trials, including earlier runs.
        stopping: ends this run.
        slots: returns the number of trials that may run at once now. Default: only Tune's own limit applies.
    """

    def __init__(
        self,
        ledger: Ledger,
        proposer: Proposer,
        scheduler: Scheduler,
        *,
        budget: int,
        stopping: Stopping,
        slots: Callable[[], int] | None = None,
    ):
        super().__init__(metric="score", mode="max")
        self.slots = slots
        self.ledger, self.proposer, self.scheduler, self.stopping = ledger, proposer, scheduler, stopping
        records = ledger.records()
        self.born = len(records)
        self.budget = max(budget, self.born)
        waiting = set(scheduler.waiting)
        self.to_resume = [
            record.number for record in records if record.state == "running" and record.number not in waiting
        ]
        """Numbers of trials to suggest again: they have started and not ended, and no process runs them."""
        self.exhausted = False
        """Whether the space has no configuration left to propose."""

    @property
    def remaining(self) -> int:
        """Number of trials still to suggest, without those that are paused."""
        return len(self.to_resume) + self.budget - self.born

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.stopping.over:
            return Searcher.FINISHED
        if self.slots is not None and len(self.stopping.running.numbers) >= self.slots():
            return None
        if self.to_resume:
            record = self.ledger.record(self.to_resume.pop(0))
        elif (promoted := self.scheduler.promote(last=self.remaining == 0)) is not None:
            record = self.ledger.record(promoted)
        elif self.remaining == 0:
            # A running trial may fail, or lead to a promotion.
            return None if self.stopping.running.numbers else Searcher.FINISHED
        elif (proposal := self.proposer.propose(self.born, waiting=self.scheduler.waiting)) is None:
            self.budget, self.exhausted = self.born, True
            return self.suggest(trial_id)
        else:
            try:
                record = self.ledger.begin(proposal)
            except OSError as error:
                self.stopping.cannot_write(error)
                return Searcher.FINISHED
            self.born += 1
        self.stopping.running.suggest(record.number)
        request = TrialRequest(
            number=record.number,
            config=record.config,
            reported_epochs=record.reported_epochs,
            micro_batches=record.micro_batches,
        )
        return asdict(request)

    def ended(self, number: int) -> None:
        """Do not suggest the trial again: it has ended."""
        if number in self.to_resume:
            self.to_resume.remove(number)

    def requeue(self, number: int) -> None:
        """Suggest the trial again, so that it resumes from its last checkpoint."""
        self.to_resume.append(number)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the recorder calls `ended` or `requeue`."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: Tune's snapshots are never read, the ledger is the source of truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never read, see save
