"""Runs callbacks that are not essential to a study in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from trainables.messages import EpochReport

CLOSES_WITHIN = 20.0
"""Seconds that a run waits at its end for callbacks that are still writing."""


class InBackground(Callback):
    """Context manager that passes events on to callbacks in a thread: pictures, TensorBoard, retention.

    The callbacks get all events in order but later than they happen, so they can neither stop nor delay writing to the
    ledger. An exception, such as an unreadable checkpoint or storage that does not respond, causes one warning per
    callback. So does an exception that ends a thread that a callback has started, as TensorBoard's writers do. Leaving
    the context waits for pending events.

    Args:
        callbacks: by the name that warnings show, in the order in which they are called.
        warn: called in the thread with a message about the first exception of each callback.
        closes_within: maximum number of seconds to wait when the context is left.
    """

    def __init__(
        self, callbacks: Mapping[str, Callback], warn: Callable[[str], None], *, closes_within: float = CLOSES_WITHIN
    ):
        self._watchers, self._warn, self._closes_within = callbacks, warn, closes_within
        self._calls: queue.SimpleQueue[Callable[[Callback], None] | None] = queue.SimpleQueue()
        self._warned: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="decorations", daemon=True)
        self._excepthook = threading.excepthook

    def __enter__(self) -> InBackground:
        self._thread.start()
        threading.excepthook = self._thread_failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        threading.excepthook = self._excepthook
        self._calls.put(None)
        self._thread.join(self._closes_within if kind is None else 0)
        if kind is None and self._thread.is_alive():
            names = " and ".join(self._watchers)
            self._warn(f"{names}: not finished after {self._closes_within:.0f} s; check that the storage is reachable")

    def trial_started(self, record: TrialRecord) -> None:
        self._calls.put(lambda callback: callback.trial_started(record))

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self._calls.put(lambda callback: callback.epoch_ended(record, report))

    def attempt_failed(self, record: TrialRecord) -> None:
        self._calls.put(lambda callback: callback.attempt_failed(record))

    def trial_paused(self, record: TrialRecord) -> None:
        self._calls.put(lambda callback: callback.trial_paused(record))

    def trial_ended(self, record: TrialRecord) -> None:
        self._calls.put(lambda callback: callback.trial_ended(record))

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            for name, callback in self._watchers.items():
                try:
                    call(callback)
                except Exception as error:
                    self._failed(name, error)

    def _thread_failed(self, ended: threading.ExceptHookArgs) -> None:
        if isinstance(ended.exc_value, Exception):
            self._failed("a background thread", ended.exc_value)

    def _failed(self, name: str, error: Exception) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._warn(f"{name}: {error}; the search continues, and this warning is not repeated")
