"""Random histories of studies: what each trial reports, which one reports next, and which attempts fail.

`Life` runs the real searcher, scheduler and recorder through a history without Ray, and `kills` ends it after a write
to the ledger. Each next event depends only on the content of the ledger. The driver that follows a killed one therefore
receives the same reports in the same order, as long as it makes the same decisions.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.scheduling import asha_promotion
from search.scheduling.schedulers import scheduler_for
from search.storage.journal import Journal
from search.study.settings import StudySettings
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.recorder import Recorder
from search.tuning.run_end import Stopping
from tests.made.studies import epoch_report, study_settings
from trainables.messages import EpochReport

BREAKS = {
    "error": "RuntimeError: a bug",
    "node_lost": "its node has died",
    "out_of_memory": "trainables.errors.OutOfMemory: ",
}


@dataclass(frozen=True)
class History:
    """One history, determined by its seed."""

    seed: int
    settings: StudySettings
    slots: int
    budgets: tuple[int, ...]
    """Budgets of the study's runs. Each run but the last ends at its budget, and the next has a larger one."""
    audit: float
    max_failures: int
    risk: float
    """Probability, per epoch, that a trial fails before it, and that it diverges."""

    @classmethod
    def drawn(cls, seed: int, *, scheduler: str, slots: int) -> History:
        chance = random.Random(f"{seed} {scheduler} {slots}")
        budget = chance.randint(3, 7)
        settings = study_settings(
            seed=seed,
            scheduler=scheduler,
            rung_metric=chance.choice(("last", "best", "ema")),
            max_epochs=chance.choice((3, 4, 5)),
            grace_epochs=chance.choice((1, 1, 2)),
            reduction_factor=chance.choice((2, 2, 3)),
        )
        return cls(
            seed=seed,
            settings=settings,
            slots=slots,
            budgets=chance.choice(((budget,), (budget, budget + 1))),
            audit=chance.choice((0.0, 0.3)),
            max_failures=chance.choice((0, 1, 2)),
            risk=chance.choice((0.0, 0.06)),
        )

    def _chance(self, *what: object) -> float:
        return random.Random(f"{self.seed} {what}").random()

    def report(self, number: int, epoch: int) -> EpochReport:
        """Return the trial's report of that epoch. Many reports have the same score."""
        score, ended = round(self._chance("score", number, epoch), 1), None
        if epoch == self.settings.max_epochs:
            ended = "max_epochs"
        elif self._chance("diverges", number, epoch) < self.risk:
            ended = "diverged"
        elif self._chance("stops early", number, epoch) < 0.04:
            ended = "early_stopping"
        return epoch_report(epoch, score, ended=ended)

    def breaks(self, number: int, epoch: int, failures: int) -> str | None:
        """Return how the trial fails before that epoch; None if it does not."""
        if self._chance("breaks", number, epoch, failures) < self.risk:
            return random.Random(f"{self.seed} {number} {epoch} {failures}").choice(list(BREAKS))
        return None

    def next(self, step: int, running: set[int]) -> int:
        """Return the trial that reports or fails next."""
        return sorted(running)[int(self._chance("next", step) * len(running))]


class Numbered:
    """Proposes configurations that contain the proposer's arguments."""

    def propose(self, number: int, waiting: Any = ()) -> Proposal:
        config = {"training.batch_size": 2, "number": number, "waiting": " ".join(map(str, waiting))}
        return Proposal(params={}, distributions={}, config=config)


class Life:
    """A driver of a study, from its start until it ends or is killed."""

    def __init__(self, folder: Path, history: History, budget: int, *, interrupted: Callable[[int], bool]):
        self.folder, self.history, self.interrupted = folder, history, interrupted
        self.ledger = Ledger.create(folder / "study")
        records = self.ledger.records()
        self.step = sum(len(record.reports) + len(record.failures) for record in records)
        self.stopping = Stopping()
        self.scheduler = scheduler_for(self.ledger, history.settings, audit=history.audit)
        proposer: Any = Numbered()
        self.searcher = LedgerSearcher(self.ledger, proposer, self.scheduler, budget=budget, stopping=self.stopping)
        meter = Meter({"CPU": 1}, clock=lambda: 0.0)
        around = (self.ledger, self.searcher, self.scheduler, self.stopping, meter, [])
        self.recorder = Recorder(*around, max_failures=history.max_failures)
        self.trials: dict[int, Any] = {}
        self.failures = Counter({record.number: len(record.failures) for record in records})

    def run(self) -> bool:
        """Run to the end; returns whether the run ended without being stopped."""
        self.recorder.settle()
        self.fill()
        while self.trials:
            if self.interrupted(self.step):
                self.stopping.stop("interrupted", 130)
            number = self.history.next(self.step, set(self.trials))
            epoch, failures = self.trials[number].epochs + 1, self.failures[number]
            if (kind := self.history.breaks(number, epoch, failures)) is not None:
                self.breaks(number, kind)
            else:
                self.report(number, self.history.report(number, epoch))
            self.step += 1
            self.fill()
        self.recorder.end_waiting()
        return self.stopping.reason is None

    def fill(self) -> None:
        while len(self.trials) < self.history.slots:
            request = self.searcher.suggest("next")
            if not isinstance(request, dict):
                break
            number = request["number"]
            trial = SimpleNamespace(
                trial_id=f"{number} from {request['reported_epochs']}",
                config=request,
                epochs=request["reported_epochs"],
                last_result={},
                error_file=None,
                pickled_error_file=None,
            )
            self.trials[number] = trial
            self.scheduler.on_trial_add(None, trial)
            self.recorder.on_trial_start(0, [], trial)

    def report(self, number: int, report: EpochReport) -> None:
        trial, result = self.trials[number], report.to_dict()
        decision = TrialScheduler.STOP
        if not self.stopping(trial.trial_id, result):
            decision = self.scheduler.on_trial_result(None, trial, result)
        self.recorder.on_trial_result(0, [], trial, result)
        trial.last_result, trial.epochs = result, report.epoch
        if report.ended is not None:  # Tune passes the result on again when the trial's function returns
            self.scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.STOP or report.ended is not None:
            del self.trials[number]
            self.scheduler.on_trial_complete(None, trial, result)
            self.recorder.on_trial_complete(0, [], trial)

    def breaks(self, number: int, kind: str) -> None:
        trial = self.trials.pop(number)
        path = self.folder / f"{kind}.txt"
        path.write_text(BREAKS[kind])
        trial.error_file = str(path)
        self.scheduler.on_trial_error(None, trial)
        self.recorder.on_trial_error(0, [], trial)
        self.failures[number] += 1


class Killed(BaseException):
    """Stands in for a killed driver. It is no `Exception`, so nothing handles it."""


@contextmanager
def kills(after: Callable[[], bool]) -> Iterator[None]:
    """Kill the driver after each write to the ledger for which `after` returns true."""
    append = Journal.append_logs

    def append_and_die(journal: Journal, logs: list[dict[str, Any]]) -> None:
        append(journal, logs)
        if after():
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append_logs", append_and_die)
        patch.setattr(asha_promotion, "MAX_PAUSED_PER_RUNG", 1)  # so that few trials suffice for an eviction
        yield


def live(
    folder: Path,
    history: History,
    *,
    killed: Callable[[], bool] = lambda: False,
    interrupted: Callable[[int], bool] = lambda step: False,
) -> Path:
    """Return the study's folder after all of its runs, each with as many drivers as it needs."""
    folder.mkdir(exist_ok=True)
    for budget in history.budgets:
        over = False
        while not over:
            with suppress(Killed), kills(killed):
                over = Life(folder, history, budget, interrupted=interrupted).run()
    return folder / "study"


def decisions(study: Path) -> list[Any]:
    """Return what the ledger holds of a study, without times.

    First, in order, the trials that began, their reports with the decisions on them, and their failures; then how each
    trial ended.
    """
    told: list[Any] = []
    for line in (study / "ledger.journal").read_text().splitlines():
        entry = json.loads(line)
        if "user_attrs" in entry:
            told.append(entry["user_attrs"]["config"])
        for key, text in entry.get("user_attr", {}).items():
            if key.startswith(("epoch ", "failure ")):
                values = json.loads(text)
                # If a trial fails for the last time right after its promotion, the promotion may be missing.
                values.pop("promoted", None)
                told.append((entry["trial_id"], key, values))
    return [*told, *((record.state, record.audited, record.error) for record in Ledger.open(study).records())]
