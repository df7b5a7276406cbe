"""A simulated cluster for tests, and an observer beside it that knows nothing of the ledger.

The cluster runs processes of trials in virtual time for the real searcher, scheduler, recorder, meter and ledger. Its
trials fail, are lost, diverge, stop early, and save epochs that they do not report. Its drivers can be killed.

The observer sees what somebody with a stopwatch would see in front of the cluster: when a process starts and ends, what
devices it holds, when it waits, trains and saves, and what each trial reports. All its counts come from that.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.sampling.proposer import Proposer
from search.scheduling.expected_epochs import epochs_left
from search.scheduling.schedulers import scheduler_for
from search.study.settings import StudySettings
from search.study.space import Space
from search.tuning.limits.budgets import Budgets
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.recorder import Recorder
from search.tuning.run_end import Stopping
from search.views.progress import ProgressState
from tests.made.studies import epoch_report
from trainables.messages import EpochReport

BREAKS = {"error": "RuntimeError: a bug", "node_lost": "its node has died"}
MAX_FAILURES = 2
SAVED, HANDED_OVER = "saved", 0.5
"""What a process says when an epoch is saved, and the seconds until it reports it, unless it breaks before."""


@dataclass
class Process:
    """A process of a trial, as an observer sees it."""

    trial: int
    cpus: float
    gpus: float
    started: float
    queued: float = 0.0
    """Seconds in which it waited for its devices."""
    ended: float | None = None
    killed: bool = False
    """Whether it ended with its driver."""
    worked: dict[int, float] = field(default_factory=dict)
    """By epoch, the seconds of its training and validation, and of the save before it."""

    saved: set[int] = field(default_factory=set)
    """Epochs that it trained and saved."""
    reports_before: int = 0
    """Number of reports of all trials when it started."""

    def held(self, now: float, reported: set[tuple[int, int]]) -> float:
        """Return the seconds in which it held devices. Of a killed one, only those of epochs that it saved and that it,
        or the trial's next process, reported."""
        if self.killed:
            return sum(self.worked[epoch] for epoch in self.saved if (self.trial, epoch) in reported)
        return (now if self.ended is None else self.ended) - self.started - self.queued


@dataclass
class Observer:
    """Counts with a stopwatch and a pencil."""

    processes: list[Process] = field(default_factory=list)
    reports: list[tuple[float, int, EpochReport]] = field(default_factory=list)
    """Time, trial and content of each report."""
    stayed: dict[tuple[int, int], bool] = field(default_factory=dict)
    """By trial and epoch of each report, whether its process went on afterwards; reports with which a run ended its
    processes, or was killed, are missing."""

    @property
    def reported(self) -> set[tuple[int, int]]:
        return {(number, report.epoch) for _, number, report in self.reports}

    def device_seconds(self, now: float, device: str, trial: int | None = None) -> float:
        """Return the seconds, times the devices held, of one or all trials."""
        reported = self.reported
        seen = [process for process in self.processes if trial in (None, process.trial)]
        return sum(process.held(now, reported) * getattr(process, device) for process in seen)

    def best(self) -> tuple[int, float]:
        """Return the trial of the best score so far, and the score."""
        scored = [(report.score, -number) for _, number, report in self.reports if not report.diverged]
        score, number = max(scored)
        return -number, score


class Cluster:
    """Runs processes of trials in virtual time.

    Args:
        settings: settings of the study.
        observer: sees the processes.
        seed: determines scores, times and failures.
    """

    def __init__(self, settings: StudySettings, observer: Observer, seed: int = 0):
        self.settings, self.observer, self.seed, self.now = settings, observer, seed, 0.0
        self._saved: dict[int, list[EpochReport]] = {}
        """By trial, the epochs that its checkpoint holds."""
        self.order = 0

    def clock(self) -> float:
        return self.now

    def chance(self, *what: object) -> random.Random:
        return random.Random(f"{self.seed} {what}")

    def epoch(self, number: int, epoch: int) -> EpochReport:
        """Return the trial's report of that epoch, which does not depend on how often it failed before."""
        chance, trial = self.chance("epoch", number, epoch), self.chance("trial", number)
        top, rate, seconds = trial.uniform(0.2, 0.8), trial.uniform(0.2, 0.5), trial.uniform(5, 15)
        score, ended = top * (1 - (1 - rate) ** epoch) + chance.gauss(0, 0.02), None
        if epoch == self.settings.max_epochs:
            ended = "max_epochs"
        elif (draw := chance.random()) < 0.01:
            score, ended = float("nan"), "diverged"
        elif epoch > 2 and draw < 0.02:
            ended = "early_stopping"
        took = {"train_seconds": seconds * chance.uniform(0.9, 1.1), "val_seconds": seconds / 10}
        return epoch_report(epoch, score, ended=ended, **took)

    def run(self, request: dict[str, Any], process: Process, *, queues: bool, life: int) -> Iterator[Any]:
        """Yield what the process does: seconds that pass, SAVED, a report, or the kind of its failure."""
        number, chance = request["number"], self.chance("process", request["number"], life)
        saved = self._saved.setdefault(number, [])
        if queues:
            process.queued = chance.uniform(0, 60)
            yield process.queued
        start = chance.uniform(2, 8)
        yield start
        first = start if queues else None
        for report in saved[request["reported_epochs"] :]:
            yield changed(report, restored=True, start_seconds=first)
            first = None
        saving = 0.0
        while not saved or saved[-1].ended is None:
            report = changed(self.epoch(number, len(saved) + 1), checkpoint_seconds=saving)
            waits = queues and not process.saved  # its first report says how long it waited
            if (draw := chance.random()) < 0.04 and not waits:
                yield chance.uniform(0, 5)  # of an epoch that is lost
                yield "error" if draw < 0.025 else "node_lost"
            process.worked[report.epoch] = report.train_seconds + report.val_seconds + saving
            yield report.train_seconds + report.val_seconds
            saving = chance.uniform(0.1, 1)
            yield saving
            saved.append(report)
            process.saved.add(report.epoch)
            yield SAVED
            if chance.random() < 0.02 and first is None:
                yield "error"
            yield changed(report, start_seconds=first and first + saving + HANDED_OVER)
            first = None
            yield chance.uniform(0, 1)  # until the driver's answer is there


def changed(report: EpochReport, **changes: Any) -> EpochReport:
    return EpochReport.from_dict(report.to_dict() | changes)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the command line of one run of the study says, and what the cluster is like."""

    cpus: float
    gpus: float
    slots: Callable[[], int]
    sampler: str
    audit: float
    budget: int
    queues: bool = False
    epochs_budget: int | None = None
    gpu_hours: float | None = None


class Driver:
    """One run of the study's command, from its start until it ends or is killed."""

    def __init__(self, folder: Path, run: Run, cluster: Cluster, space: Space):
        self.run, self.cluster, self.observer, self.folder = run, cluster, cluster.observer, folder
        self.ledger = Ledger.create(folder / "study")
        past, settings = self.ledger.records(), cluster.settings
        self.stopping = Stopping()
        self.scheduler = scheduler_for(self.ledger, settings, audit=run.audit)
        proposer = Proposer(self.ledger, space, settings, sampler=run.sampler)
        self.searcher = LedgerSearcher(
            self.ledger, proposer, self.scheduler, budget=run.budget, stopping=self.stopping, slots=run.slots
        )
        self.meter = Meter({"CPU": run.cpus, "GPU": run.gpus}, clock=cluster.clock, past=past, queues=run.queues)
        self.progress = ProgressState(
            budget=run.budget,
            time_budget=None,
            past=past,
            expected_epochs=epochs_left(settings, run.budget, past, audit=run.audit, epochs_budget=run.epochs_budget),
        )
        budgets = Budgets(self.stopping, self.meter, past, epochs=run.epochs_budget, gpu_hours=run.gpu_hours)
        self.recorder = Recorder(
            self.ledger,
            self.searcher,
            self.scheduler,
            self.stopping,
            self.meter,
            [self.progress, budgets],
            max_failures=MAX_FAILURES,
        )
        self.ended: float | None = None
        """When the run ended by itself."""
        self.handing_over: set[int] = set()
        """Trials whose last epoch is saved, but not reported yet."""
        self.queue: list[tuple[float, int, Any]] = []

    def live(self, watch: Callable[[], None] = lambda: None) -> None:
        """Run to the end; `watch` is called after each event."""
        self.recorder.settle()
        self.fill()
        while self.queue:
            self.cluster.now, _, trial = heapq.heappop(self.queue)
            self.step(trial)
            self.fill()
            watch()
        self.recorder.end_waiting()
        self.ended = self.cluster.now

    def fill(self) -> None:
        while isinstance(request := self.searcher.suggest("next"), dict):
            cluster, number = self.cluster, request["number"]
            process = Process(number, self.run.cpus, self.run.gpus, started=cluster.now)
            process.reports_before = len(self.observer.reports)
            self.observer.processes.append(process)
            cluster.order += 1
            doing = cluster.run(request, process, queues=self.run.queues, life=cluster.order)
            trial = SimpleNamespace(
                trial_id=f"{cluster.order}",
                config=request,
                process=process,
                doing=doing,
                last_result={},
                ends=False,
                error_file=None,
                pickled_error_file=None,
            )
            self.scheduler.on_trial_add(None, trial)
            self.recorder.on_trial_start(0, [], trial)
            self.step(trial)

    def step(self, trial: Any) -> None:
        """Let a process do what it does next, until seconds pass or it ends."""
        number = trial.config["number"]
        if trial.ends:
            self.completes(trial)
            return
        done = next(trial.doing)
        self.handing_over.discard(number)
        if isinstance(done, EpochReport):
            self.report(trial, done)
            if trial.ends and done.ended is None:  # Tune stops a trial at once
                self.completes(trial)
                return
            done = 0.25  # until the process has returned, or trains on
        elif done in BREAKS:
            self.breaks(trial, done)
            return
        elif done == SAVED:
            self.handing_over.add(number)
            done = HANDED_OVER
        self.cluster.order += 1
        heapq.heappush(self.queue, (self.cluster.now + done, self.cluster.order, trial))

    def report(self, trial: Any, report: EpochReport) -> None:
        number, result = trial.config["number"], report.to_dict()
        self.observer.reports.append((self.cluster.now, number, report))
        decision = TrialScheduler.STOP
        if not self.stopping(trial.trial_id, result):
            decision = self.scheduler.on_trial_result(None, trial, result)
        self.recorder.on_trial_result(0, [], trial, result)
        trial.last_result, trial.ends = result, decision == TrialScheduler.STOP or report.ended is not None
        if self.stopping.reason is None:
            self.observer.stayed[number, report.epoch] = not trial.ends

    def completes(self, trial: Any) -> None:
        trial.process.ended = self.cluster.now
        self.scheduler.on_trial_complete(None, trial, trial.last_result)
        self.recorder.on_trial_complete(0, [], trial)

    def breaks(self, trial: Any, kind: str) -> None:
        path = self.folder / f"{kind}.txt"
        path.write_text(BREAKS[kind])
        trial.error_file, trial.process.ended = str(path), self.cluster.now
        self.scheduler.on_trial_error(None, trial)
        self.recorder.on_trial_error(0, [], trial)


class Killed(BaseException):
    """Stands in for a killed driver. It is no `Exception`, so nothing handles it."""


@contextmanager
def killed_after_a_report(driver: Driver, when: Callable[[], bool]) -> Iterator[None]:
    """Kill the driver, and the processes of its trials, once an epoch's entry is written and `when` returns true."""
    add_epoch = driver.ledger.add_epoch

    def add_and_die(number: int, report: EpochReport) -> None:
        add_epoch(number, report)
        if when():
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver.ledger, "add_epoch", add_and_die)
        try:
            yield
        except Killed:
            for process in driver.observer.processes:
                process.killed |= process.ended is None
        else:
            raise AssertionError("the driver ended before it was to be killed")
