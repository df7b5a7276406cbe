"""Records Tune's events in the ledger and passes them on to the callbacks. No other module does this."""

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
from search.tuning.failures import failure, root_message
from search.tuning.hang_watch import HangWatch
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.retry_policy import is_final
from search.tuning.run_end import CONTINUES, Stopping
from search.tuning.running_trials import RunningTrials
from trainables.messages import EpochReport

MOST_IN_A_ROW = 3
"""Number of consecutive failures, without an epoch of any trial in between, after which the run ends: trials that Ray
did not start (the cluster counts as lost), or processes that Ray killed because of full memory."""


def _writes(hook: Callable[..., None]) -> Callable[..., None]:
    """Decorate a hook that writes to the ledger: an OSError ends the run, and nothing is written after it."""

    @functools.wraps(hook)
    def guarded(self: Recorder, *arguments: Any, **named: Any) -> None:
        if not self.stopping.unwritable:
            try:
                hook(self, *arguments, **named)
            except OSError as error:
                self.stopping.cannot_write(error)

    return guarded


class Recorder(tune.Callback):
    """Writes each epoch and each end of a trial to the ledger before it calls the callbacks.

    Args:
        ledger: the study's ledger.
        searcher: gets the numbers of trials that have ended or are to resume.
        scheduler: decides after each epoch, and has the trials that it stopped or paused.
        stopping: ends this run, and has the table of its running trials.
        meter: measures the cost of trials.
        callbacks: called in this order.
        max_failures: how often a trial may fail and resume.
        hangs: has the trials whose processes it killed.
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
        self._in_a_row = Counter[str]()
        """Number of failures by kind, since the last epoch of any trial or the last failure of another kind."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.start(trial.config["number"])
        self._started(trial.config["number"])

    @_writes
    def _started(self, number: int) -> None:
        record = self.ledger.record(number)
        self.running.keep(record)
        self.ledger.begin_segment(number, self.meter.begin(number))
        for callback in self.callbacks:
            callback.trial_started(record)

    @property
    def running(self) -> RunningTrials:
        return self.stopping.running

    @_writes
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        number, report = trial.config["number"], EpochReport.from_dict(result)
        self._in_a_row.clear()
        # Tune has already called the scheduler, except when the run is ending. The ledger needs its decision then too.
        self.scheduler.on_trial_result(None, trial, result)
        self.ledger.add_epoch(number, report)
        self.meter.epoch(number, report)
        for callback in self.callbacks:
            callback.epoch_ended(self.running.record(number), report)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._completed(trial, had_started=self.running.leave(trial.config["number"]))

    @_writes
    def _completed(self, trial: Any, *, had_started: bool) -> None:
        number = trial.config["number"]
        if had_started:
            self.ledger.add_segment(number, self.meter.end(number))
        if trial.last_result.get("ended") is not None:
            self.ended(self.ledger.finish(number))
        elif trial.trial_id in self.scheduler.stopped:
            self.ended(self.ledger.prune(number))
        elif trial.trial_id in self.scheduler.paused:
            for callback in self.callbacks:
                callback.trial_paused(self.ledger.record(number))
            self.prune(self.scheduler.pop_evicted())
        # Otherwise the run itself ends: the trial stays running in the ledger and resumes when the study continues.

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._failed(trial, had_started=self.running.leave(trial.config["number"]))

    @_writes
    def _failed(self, trial: Any, *, had_started: bool) -> None:
        number = trial.config["number"]
        if had_started:
            self.ledger.add_segment(number, self.meter.end(number))
        record = self.ledger.record(number)
        if record.reports and record.reports[-1].ended is not None:
            # The process was lost after its last report: the trial has nothing left to do or to report.
            self.ended(self.ledger.finish(number))
            return
        hung = self.hangs.failure(number, record.reported_epochs) if self.hangs is not None else None
        broken = hung or failure(_error_text(trial), record.reported_epochs, preempted=_is_preempted(trial))
        if is_final(record, broken, max_failures=self.max_failures):
            broken = dataclasses.replace(broken, final=True)
        record = self.ledger.add_failure(number, broken)
        if broken.kind == "storage":
            self.stopping.stop(f"a checkpoint could not be written or read; once that is fixed{CONTINUES}", BROKEN)
        if broken.kind == "node_unfit":
            self.stopping.stop(f"{root_message(broken)}; once that is fixed, or the node is removed{CONTINUES}", BROKEN)
        self._in_a_row = Counter({broken.kind: self._in_a_row[broken.kind] + 1})
        if self._in_a_row["not_started"] == MOST_IN_A_ROW:
            self.stopping.stop(f"Ray no longer starts trials; once its cluster is back{CONTINUES}", BROKEN)
        if self._in_a_row["memory_pressure"] == MOST_IN_A_ROW:
            room = "once other programs use less memory, or with a lower --max-concurrent"
            self.stopping.stop(f"trials do not get enough memory ({root_message(broken)}); {room}{CONTINUES}", BROKEN)
        if broken.final:
            self._fail(number, broken)
            return
        self.searcher.requeue(number)
        for callback in self.callbacks:
            callback.attempt_failed(record)

    def _fail(self, number: int, broken: Failure) -> None:
        tried = "out of memory even with micro-batches of one image\n" if broken.kind == "out_of_memory" else ""
        self.ended(self.ledger.fail(number, f"{tried}{broken.message}"))

    def ended(self, record: TrialRecord) -> None:
        """Pass the end of a trial on to the searcher and the callbacks."""
        self.searcher.ended(record.number)
        for callback in self.callbacks:
            callback.trial_ended(record)

    @_writes
    def prune(self, numbers: Iterable[int]) -> None:
        """Prune trials that are not running and are not to resume."""
        for number in numbers:
            self.ended(self.ledger.prune(number))

    @_writes
    def settle(self) -> None:
        """Write to the ledger what an earlier run had decided but not yet written."""
        for record in self.ledger.records():
            if record.state == "running" and record.broke_for_good:
                self._fail(record.number, record.failures[-1])
            if record.audited is None and (epoch := self.scheduler.audited.get(record.number)) is not None:
                self.ledger.mark_audited(record.number, epoch)
        self.prune((*self.scheduler.overdue, *self.scheduler.pop_evicted()))

    def end_waiting(self) -> None:
        """Prune the paused trials at the end of a study: no trial runs any more that could lead to a promotion."""
        if self.stopping.reason is None:
            self.prune(self.scheduler.waiting)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never read: the ledger is the source of truth


def _is_preempted(trial: Any) -> bool:
    """Return whether the trial's process died with a drained node, according to the pickled error that Tune keeps.

    The file is in a folder that others may be able to write to. Unpickling it could run foreign code, so its opcodes
    are searched instead for the attribute `_preempted` of `ray.exceptions.RayActorError`.
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
    """Return the trial's traceback from the file that Tune keeps."""
    path = Path(trial.error_file) if trial.error_file else None
    if path is None or not path.is_file():
        return "the trial's process ended without a message"
    return path.read_text(encoding="utf-8", errors="replace").strip()
