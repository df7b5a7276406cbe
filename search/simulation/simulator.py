"""Simulates searches in virtual time, with the real searcher, scheduler, ledger and recorder, but simulated trials."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.sampling.proposer import Proposer
from search.scheduling.schedulers import Scheduler, scheduler_for
from search.study.settings import StudySettings
from search.study.space import Space
from search.tuning.callbacks import Callback
from search.tuning.limits.budgets import Budgets
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.recorder import Recorder
from search.tuning.run_end import Stopping
from trainables.messages import EpochReport

World = Callable[[TrialRecord], Iterable[EpochReport]]
"""Yields the reports of a new trial until it ends; each epoch takes its `train_seconds` and `val_seconds`."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """One search to simulate."""

    settings: StudySettings
    space: Space
    sampler: str
    trials: int
    slots: int
    """Number of concurrent trials."""
    epochs: int | None = None
    """Maximum number of epochs of all trials together; None: no limit."""


@dataclass
class _Trial:
    """Stand-in for one of Tune's trials, as the searcher, scheduler and recorder use it."""

    trial_id: str
    config: dict[str, Any]
    coming: EpochReport
    last_result: dict[str, Any] = field(default_factory=dict)


def simulate(simulation: Simulation, world: World, ledger: Ledger, callbacks: list[Callback]) -> None:
    """Run a search to its end. Its times are virtual; everything else in the ledger is as in a real search."""
    clock = Clock()
    stopping, meter = Stopping(), Meter({"CPU": 1}, clock=clock)
    proposer = Proposer(ledger, simulation.space, simulation.settings, sampler=simulation.sampler)
    scheduler = scheduler_for(ledger, simulation.settings)
    searcher = LedgerSearcher(ledger, proposer, scheduler, budget=simulation.trials, stopping=stopping)
    budgets = Budgets(stopping, meter, [], epochs=simulation.epochs, gpu_hours=None)
    recorder = Recorder(ledger, searcher, scheduler, stopping, meter, [*callbacks, budgets], max_failures=0)
    running: list[tuple[float, int, _Trial]] = []  # by the time of the next report, then by the order of their starts
    reports: dict[int, Iterator[EpochReport]] = {}
    born = 0
    while True:
        while len(running) < simulation.slots:
            request = searcher.suggest(f"{born}")
            if request is None or request == Searcher.FINISHED:
                break
            assert isinstance(request, dict)
            number = request["number"]
            if number not in reports:
                reports[number] = iter(world(ledger.record(number)))
            trial = _Trial(f"{born}", request, next(reports[number]))
            scheduler.on_trial_add(None, trial)
            recorder.on_trial_start(0, [], trial)
            heapq.heappush(running, (clock.now + _seconds(trial), born, trial))
            born += 1
        if not running:
            break
        clock.now, order, trial = heapq.heappop(running)
        number = trial.config["number"]
        if _report(trial, scheduler, recorder, stopping):
            scheduler.on_trial_complete(None, trial, trial.last_result)
            recorder.on_trial_complete(0, [], trial)
            if ledger.record(number).has_ended:
                del reports[number]
        else:
            trial.coming = next(reports[number])
            heapq.heappush(running, (clock.now + _seconds(trial), order, trial))
    recorder.end_waiting()


class Trace(Callback):
    """Records the best score so far after each epoch of a search."""

    def __init__(self) -> None:
        self.best: list[float] = []

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self.best.append(max(report.score or 0.0, self.best[-1] if self.best else 0.0))


class Clock:
    """Virtual seconds since the start of the search."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _seconds(trial: _Trial) -> float:
    return trial.coming.train_seconds + trial.coming.val_seconds


def _report(trial: _Trial, scheduler: Scheduler, recorder: Recorder, stopping: Stopping) -> bool:
    """Process the trial's next report in the same order as Tune; return whether the trial ends or pauses with it."""
    result = trial.coming.to_dict()
    if stopping(trial.trial_id, result):
        decision = TrialScheduler.STOP
    else:
        decision = scheduler.on_trial_result(None, trial, result)
    recorder.on_trial_result(0, [], trial, result)
    trial.last_result = result
    return decision == TrialScheduler.STOP or trial.coming.ended is not None
