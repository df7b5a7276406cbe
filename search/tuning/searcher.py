"""What Ray Tune asks for trials: first those that are to resume, then new ones."""

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
    """Suggests `TrialRequest`s until the study holds as many ended trials as its budget.

    Args:
        ledger: of the study.
        proposer: of new configurations.
        scheduler: knows which paused trial is to resume.
        budget: total number of trials, including earlier runs.
        stopping: of this run.
        slots: says how many trials may run side by side now; without it Tune's own limit is all.
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
        super().__init__(metric="mean_iou", mode="max")
        self.slots = slots
        self.ledger, self.proposer, self.scheduler, self.stopping = ledger, proposer, scheduler, stopping
        records = ledger.records()
        self.born = len(records)
        self.budget = max(budget, self.born)
        waiting = set(scheduler.waiting)
        self.to_resume = [
            record.number for record in records if record.state == "running" and record.number not in waiting
        ]
        """Numbers of trials to suggest again: they have begun, and nobody runs them."""
        self.running: set[int] = set()
        """Numbers of those that were suggested and have not ended."""
        self.exhausted = False
        """Whether the space held nothing new any more."""

    @property
    def remaining(self) -> int:
        """Trials still to be suggested, but for those that wait for their promotion."""
        return len(self.to_resume) + self.budget - self.born

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.stopping.over:
            return Searcher.FINISHED
        if self.slots is not None and len(self.running) >= self.slots():
            return None
        if self.to_resume:
            record = self.ledger.record(self.to_resume.pop(0))
        elif (promoted := self.scheduler.promote(last=self.remaining == 0)) is not None:
            record = self.ledger.record(promoted)
        elif self.remaining == 0:
            return None if self.running else Searcher.FINISHED  # one of those that run may break, or be promoted
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
        self.running.add(record.number)
        request = TrialRequest(
            number=record.number,
            config=record.config,
            reported_epochs=record.reported_epochs,
            micro_batches=record.micro_batches,
        )
        return asdict(request)

    def ended(self, number: int) -> None:
        """The trial is not to be suggested again."""
        self.running.discard(number)
        if number in self.to_resume:
            self.to_resume.remove(number)

    def paused(self, number: int) -> None:
        """The scheduler says when it resumes."""
        self.running.discard(number)

    def requeue(self, number: int) -> None:
        """The trial is to resume from its last checkpoint."""
        self.running.discard(number)
        self.to_resume.append(number)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The recorder tells; nothing is left to do here."""

    def save(self, checkpoint_path: str) -> None:
        """Tune's own snapshots: nobody reads them, the ledger is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, see save
