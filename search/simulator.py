"""Searches in virtual time: searcher, scheduler, ledger and recorder are the real ones, trials take no time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.budgets import Budgets
from search.costs import Meter
from search.ledger import Ledger, TrialRecord
from search.proposals import Proposer
from search.recorder import Recorder, Watcher
from search.scheduler import LedgerASHA
from search.searcher import LedgerSearcher
from search.settings import StudySettings
from search.space import Space
from search.stopping import Stopping
from trainables.epoch_report import EpochReport

World = Callable[[TrialRecord], list[EpochReport]]
"""What a new trial would report to its own end; an epoch takes its `train_seconds` and `val_seconds`."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """One search to simulate."""

    settings: StudySettings
    space: Space
    sampler: str
    trials: int
    slots: int
    """Trials side by side."""
    epochs: int | None = None
    """Budget of all trials together, if limited."""


@dataclass
class _Trial:
    """What searcher, scheduler and recorder see of one of Tune's trials."""

    trial_id: str
    config: dict[str, Any]
    coming: list[EpochReport]
    last_result: dict[str, Any] = field(default_factory=dict)


def simulate(simulation: Simulation, world: World, ledger: Ledger, watchers: list[Watcher]) -> None:
    """Run a search to its end. Its times are virtual, all else in the ledger is as a real search leaves it."""
    clock = Clock()
    stopping, meter = Stopping(), Meter({"CPU": 1}, clock=clock)
    proposer = Proposer(ledger, simulation.space, simulation.settings, sampler=simulation.sampler)
    searcher = LedgerSearcher(ledger, proposer, budget=simulation.trials, stopping=stopping)
    scheduler = LedgerASHA(ledger, simulation.settings)
    budgets = Budgets(stopping, meter, [], epochs=simulation.epochs, gpu_hours=None)
    recorder = Recorder(ledger, searcher, scheduler, stopping, meter, [*watchers, budgets], max_failures=0)
    running: list[tuple[float, int, _Trial]] = []  # by the time of the next report; equal ones in order of birth
    born = 0
    while True:
        while len(running) < simulation.slots:
            request = searcher.suggest(f"{born}")
            if request is None or request == Searcher.FINISHED:
                break
            assert isinstance(request, dict)
            trial = _Trial(f"{born}", request, world(ledger.record(request["number"])))
            scheduler.on_trial_add(None, trial)
            for callback in (stopping, recorder):
                callback.on_trial_start(0, [], trial)
            heapq.heappush(running, (clock.now + _seconds(trial), born, trial))
            born += 1
        if not running:
            return
        clock.now, order, trial = heapq.heappop(running)
        if _report(trial, scheduler, recorder, stopping):
            scheduler.on_trial_complete(None, trial, trial.last_result)
            for callback in (stopping, recorder):
                callback.on_trial_complete(0, [], trial)
        else:
            heapq.heappush(running, (clock.now + _seconds(trial), order, trial))


class Clock:
    """Virtual seconds since the search began."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _seconds(trial: _Trial) -> float:
    return trial.coming[0].train_seconds + trial.coming[0].val_seconds


def _report(trial: _Trial, scheduler: LedgerASHA, recorder: Recorder, stopping: Stopping) -> bool:
    """Take the trial's next report in, in Tune's order; returns whether the trial ends with it."""
    report = trial.coming.pop(0)
    result = report.to_dict()
    if stopping(trial.trial_id, result):
        decision = TrialScheduler.STOP
    else:
        decision = scheduler.on_trial_result(None, trial, result)
    recorder.on_trial_result(0, [], trial, result)
    trial.last_result = result
    return decision == TrialScheduler.STOP or not trial.coming
