"""The one place where what happens in Tune becomes ledger entries, and where those who watch are told of it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pickletools
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from search.exit_status import BROKEN
from search.ledger.ledger import Ledger
from search.ledger.records import Failure, TrialRecord
from search.scheduling.schedulers import Scheduler
from search.tuning.callbacks import Callback
from search.tuning.failures import MOST_PRESSED, NOT_COUNTED, failure, root_message
from search.tuning.hang_watch import HangWatch
from search.tuning.meter import Meter
from search.tuning.run_end import CONTINUES, Stopping
from search.tuning.searcher import LedgerSearcher
from trainables.messages import EpochReport

MOST_IN_A_ROW = 3
"""Trials that Ray does not start before its cluster counts as lost, or ends for want of memory before that counts as
full, without an epoch of any trial between."""


def _writes(hook: Callable[..., None]) -> Callable[..., None]:
    """Of a hook that writes: a full disk ends the run, and from then on nothing is written."""

    @functools.wraps(hook)
    def guarded(self: Recorder, *arguments: Any, **named: Any) -> None:
        if not self.stopping.unwritable:
            try:
                hook(self, *arguments, **named)
            except OSError as error:
                self.stopping.cannot_write(error)

    return guarded


class Recorder(tune.Callback):
    """Writes each epoch and each end to the ledger before any callback hears of it.

    Args:
        ledger: of the study.
        searcher: is told which trials have ended, and which are to resume.
        scheduler: decides of each epoch, and knows which trials it stopped, and which it paused.
        stopping: of this run.
        meter: of what trials cost.
        callbacks: in the order in which they hear.
        max_failures: how often a trial may fail and resume.
        hangs: knows which processes it killed itself.
    """

    def __init__(
        self,
        ledger: Ledger,
        searcher: LedgerSearcher,
        scheduler: Scheduler,
        stopping: Stopping,
        meter: Meter,
        callbacks: list[Callback],
        *,
        max_failures: int,
        hangs: HangWatch | None = None,
    ):
        self.hangs = hangs
        self.ledger, self.searcher, self.scheduler, self.stopping = ledger, searcher, scheduler, stopping
        self.meter, self.callbacks, self.max_failures = meter, callbacks, max_failures
        self._running: dict[int, TrialRecord] = {}
        self._in_a_row = Counter[str]()
        """By kind of failure: so many since the last epoch of any trial, or failure of another kind."""

    @_writes
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        self._running[number] = self.ledger.record(number)
        self.meter.begin(number)
        for callback in self.callbacks:
            callback.trial_started(self._running[number])

    @_writes
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        number, report = trial.config["number"], EpochReport.from_dict(result)
        self._in_a_row.clear()
        # Tune has asked the scheduler, but not once the run is to end: then too, the ledger says what was decided.
        self.scheduler.on_trial_result(None, trial, result)
        self.ledger.add_epoch(number, report)
        self.meter.epoch(number, report)
        for callback in self.callbacks:
            callback.epoch_ended(self._running[number], report)

    @_writes
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        self._end_segment(number)
        if trial.last_result.get("ended") is not None:
            self.ended(self.ledger.finish(number))
        elif trial.trial_id in self.scheduler.stopped:
            self.ended(self.ledger.prune(number))
        elif trial.trial_id in self.scheduler.paused:
            self.searcher.paused(number)
            for callback in self.callbacks:
                callback.trial_paused(self.ledger.record(number))
            self.prune(self.scheduler.pop_evicted())
        # Otherwise the run itself ends: the trial stays running in the ledger and resumes when the study continues.

    @_writes
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        self._end_segment(number)
        record = self.ledger.record(number)
        if record.reports and record.reports[-1].ended is not None:
            # Its process was lost after its last report: it has nothing left to do, and would have nothing to report.
            self.ended(self.ledger.finish(number))
            return
        hung = self.hangs.failure(number, record.reported_epochs) if self.hangs is not None else None
        broken = hung or failure(_error_text(trial), record.reported_epochs, preempted=_is_preempted(trial))
        if self._is_final(record, broken):
            broken = dataclasses.replace(broken, final=True)
        record = self.ledger.add_failure(number, broken)
        if broken.kind == "storage":
            self.stopping.stop(f"a checkpoint could not be written or read; once that is put right{CONTINUES}", BROKEN)
        if broken.kind == "node_unfit":
            self.stopping.stop(
                f"{root_message(broken)}; once that is put right, or the machine gone{CONTINUES}", BROKEN
            )
        self._in_a_row = Counter({broken.kind: self._in_a_row[broken.kind] + 1})
        if self._in_a_row["not_started"] == MOST_IN_A_ROW:
            self.stopping.stop(f"Ray starts no trial any more; once its cluster is back{CONTINUES}", BROKEN)
        if self._in_a_row["memory_pressure"] == MOST_IN_A_ROW:
            room = "once other programs have left room, or with a lower --max-concurrent"
            self.stopping.stop(f"trials find no memory ({root_message(broken)}); {room}{CONTINUES}", BROKEN)
        if broken.final:
            self._fail(number, broken)
            return
        self.searcher.requeue(number)
        for callback in self.callbacks:
            callback.attempt_failed(record)

    def _end_segment(self, number: int) -> None:
        if self._running.pop(number, None) is not None:  # else it broke before it began
            self.ledger.add_segment(number, self.meter.end(number))

    def _is_final(self, record: TrialRecord, broken: Failure) -> bool:
        """Whether a trial that broke is not retried."""
        kinds = [past.kind for past in (*record.failures, broken)]
        if broken.kind == "out_of_memory":
            return 2 ** kinds.count("out_of_memory") > record.config["training.batch_size"]
        if broken.kind == "memory_pressure":
            return kinds.count("memory_pressure") > MOST_PRESSED
        return broken.kind not in NOT_COUNTED and sum(kind not in NOT_COUNTED for kind in kinds) > self.max_failures

    def _fail(self, number: int, broken: Failure) -> None:
        tried = "out of memory, also with single images at a time\n" if broken.kind == "out_of_memory" else ""
        self.ended(self.ledger.fail(number, f"{tried}{broken.message}"))

    def ended(self, record: TrialRecord) -> None:
        """Tell all who follow the study."""
        self.searcher.ended(record.number)
        for callback in self.callbacks:
            callback.trial_ended(record)

    @_writes
    def prune(self, numbers: Iterable[int]) -> None:
        """Trials that nobody runs, and that are not to resume."""
        for number in numbers:
            self.ended(self.ledger.prune(number))

    @_writes
    def settle(self) -> None:
        """Write what was decided, and not written, before this run."""
        for record in self.ledger.records():
            if record.state == "running" and record.broke_for_good:
                self._fail(record.number, record.failures[-1])
            if record.audited is None and (epoch := self.scheduler.audited.get(record.number)) is not None:
                self.ledger.mark_audited(record.number, epoch)
        self.prune((*self.scheduler.overdue, *self.scheduler.pop_evicted()))

    def end_waiting(self) -> None:
        """No trial runs any more: unless the study continues later, none will come that could promote a paused one."""
        if self.stopping.reason is None:
            self.prune(self.scheduler.waiting)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth


def _is_preempted(trial: Any) -> bool:
    """Whether the trial's process died with a drained node, which only Ray's error itself says, as Tune kept it.

    The file lies in a folder that others may write to. It is therefore not unpickled, which would run what it says, but
    searched for the attribute in which `ray.exceptions.RayActorError` keeps the answer.
    """
    path = Path(trial.pickled_error_file) if trial.pickled_error_file else None
    with suppress(Exception):  # not every error can be read
        steps = [
            (step.name, value)
            for step, value, _ in pickletools.genops(path.read_bytes() if path else b"")
            if step.name not in ("MEMOIZE", "BINPUT", "LONG_BINPUT")
        ]
        return any(value == "_preempted" and then == "NEWTRUE" for (_, value), (then, _) in itertools.pairwise(steps))
    return False


def _error_text(trial: Any) -> str:
    """The trial's traceback, as Tune kept it."""
    path = Path(trial.error_file) if trial.error_file else None
    return path.read_text().strip() if path and path.is_file() else "the trial's process ended without a message"
