"""A running study as JSON lines, one per event: printed by `--view events`, and read to show a remote study."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from search.formatting import clean
from search.ledger.records import Failure, TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.run_end import Stopping
from search.views.live_view import LiveView
from search.views.progress import ProgressState
from trainables.messages import EpochReport
from trainables.prediction.metric import Metric


class EventWriter(Callback):
    """Writes each event as a line.

    Args:
        state: progress of the study; must be called for each event before this callback.
        stopping: has the reason when this run ends early.
        stream: file to which the lines are written.
    """

    def __init__(self, state: ProgressState, stopping: Stopping, stream: TextIO):
        self.state, self.stopping, self.stream = state, stopping, stream
        self._ending = False

    @contextmanager
    def shown(self) -> Iterator[None]:
        state = self.state
        for record in state.past:
            self._write("past", trial=_brief(record))
        limits = {"time_budget": state.time_budget, "expected_epochs": state.expected_epochs}
        self._write("begin", budget=state.budget, metric=dataclasses.asdict(state.metric), **limits)
        yield
        self._write("end")

    def trial_started(self, record: TrialRecord) -> None:
        self._write("started", trial=_brief(record))

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self._write("epoch", number=record.number, report=report.to_dict())
        if self.stopping.reason is not None and not self._ending:
            self._ending = True
            self._write("ending", reason=self.stopping.reason)

    def attempt_failed(self, record: TrialRecord) -> None:
        self._write("attempt_failed", trial=_brief(record))

    def trial_paused(self, record: TrialRecord) -> None:
        self._write("paused", trial=_brief(record))

    def trial_ended(self, record: TrialRecord) -> None:
        self._write("ended", trial=_brief(record))

    def _write(self, event: str, **content: Any) -> None:
        write_event(self.stream, event, at=self.state.seconds, **content)


class TextEvents(io.StringIO):
    """A file that turns the texts written to it into events, for a console that prints beside the view."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        if text:
            write_event(self.stream, "text", text=text)
        return len(text)


def write_event(stream: TextIO, event: str, **content: Any) -> None:
    stream.write(json.dumps({"event": event, **content}) + "\n")
    stream.flush()


class EventReader:
    """Context manager that shows the events of an `EventWriter` in another process, with the same views."""

    def __init__(self, console: Console):
        self.console = console
        self.state = ProgressState(budget=0, time_budget=None, past=[])
        self.stopping = Stopping()
        self.view = LiveView(self.state, console, self.stopping)
        self._stack = ExitStack()

    def __enter__(self) -> EventReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def read(self, line: str) -> None:
        """Process a line; a line that is not an event is printed unchanged."""
        try:
            content = json.loads(line)
            event = content.pop("event")
            take_in = getattr(self, f"_on_{event}")
        except (ValueError, TypeError, KeyError, AttributeError):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        if (at := content.pop("at", None)) is not None:
            self.state.started = time.monotonic() - at
        try:
            take_in(**content)
        except (ValueError, TypeError, KeyError, AttributeError):  # looks like an event but is not one
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _on_text(self, text: str) -> None:
        shown = Text.from_ansi(text.removesuffix("\n"))  # keeps colours, but no other terminal control sequences
        shown.plain = clean(shown.plain)
        self.console.print(shown, soft_wrap=True)

    def _on_past(self, trial: dict[str, Any]) -> None:
        self.state.past.append(_record(trial))

    def _on_begin(
        self,
        budget: int,
        time_budget: float | None,
        expected_epochs: int | None = None,
        metric: dict[str, Any] | None = None,
    ) -> None:
        self.state = ProgressState(
            budget=budget,
            time_budget=time_budget,
            past=self.state.past,
            expected_epochs=expected_epochs,
            metric=Metric.from_dict(metric or {}),
            started=self.state.started,
        )
        self.view = LiveView(self.state, self.console, self.stopping)
        self._stack.enter_context(self.view.shown())

    def _on_end(self) -> None:
        self._stack.close()

    def _on_ending(self, reason: str) -> None:
        self.stopping.reason = reason

    def _on_epoch(self, number: int, report: dict[str, Any]) -> None:
        told = EpochReport.from_dict(report)
        record, _ = self.state.running[number]
        record = dataclasses.replace(record, reports=(*record.reports, told))
        self._tell(lambda callback: callback.epoch_ended(record, told))

    def _on_started(self, trial: dict[str, Any]) -> None:
        record = _record(trial)
        self.stopping.running.start(record.number)
        self._tell(lambda callback: callback.trial_started(record))

    def _on_attempt_failed(self, trial: dict[str, Any]) -> None:
        self._left(trial, lambda callback, record: callback.attempt_failed(record))

    def _on_paused(self, trial: dict[str, Any]) -> None:
        self._left(trial, lambda callback, record: callback.trial_paused(record))

    def _on_ended(self, trial: dict[str, Any]) -> None:
        self._left(trial, lambda callback, record: callback.trial_ended(record))

    def _left(self, trial: dict[str, Any], hear: Callable[[Callback, TrialRecord], None]) -> None:
        record = _record(trial)
        self.stopping.running.leave(record.number)
        self._tell(lambda callback: hear(callback, record))

    def _tell(self, hear: Callable[[Callback], None]) -> None:
        for callback in (self.state, self.view):
            hear(callback)


def _brief(record: TrialRecord) -> dict[str, Any]:
    """Return the parts of a record that the views show, with only the best and the last epoch."""
    best = record.best
    reports = [report for report in record.reports if report in (best, record.reports[-1])]
    return {
        "number": record.number,
        "state": record.state,
        "params": record.params,
        "config": record.config,
        "reports": [report.to_dict() for report in reports],
        "failures": [dataclasses.asdict(failure) for failure in record.failures],
        "error": record.error,
    }


def _record(trial: dict[str, Any]) -> TrialRecord:
    return TrialRecord(
        **trial
        | {
            "reports": tuple(map(EpochReport.from_dict, trial["reports"])),
            "failures": tuple(Failure(**failure) for failure in trial["failures"]),
        },
        segments=(),
        audited=None,
        started=None,
        ended=None,
    )
