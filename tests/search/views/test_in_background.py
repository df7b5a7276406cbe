"""Watchers that only decorate a study, in their thread."""

from __future__ import annotations

import threading

import pytest

from search.tuning.callbacks import Callback
from search.views.in_background import InBackground
from tests.made.studies import begin
from tests.processes.loops import epoch_report
from tests.processes.scripts import HANGS_AFTER


class Noting(Callback):
    def __init__(self, heard: list[tuple], name: str):
        self.heard, self.name = heard, name

    def trial_started(self, record):
        self.heard.append((self.name, "start", record.number))

    def epoch_ended(self, record, report):
        self.heard.append((self.name, "epoch", record.number, report.epoch))

    def attempt_failed(self, record):
        self.heard.append((self.name, "attempt failed", record.number))

    def trial_paused(self, record):
        self.heard.append((self.name, "paused", record.number))

    def trial_ended(self, record):
        self.heard.append((self.name, "end", record.number))


class Failing(Noting):
    def epoch_ended(self, record, report):
        raise ValueError(f"epoch {report.epoch}: the picture is gone")

    def trial_ended(self, record):
        raise RuntimeError("never said")


class Stuck(Callback):
    """Storage that does not answer until it is `back`."""

    def __init__(self):
        self.back = threading.Event()

    def trial_started(self, record):
        self.back.wait(HANGS_AFTER)


@pytest.fixture
def record(ledger, space):
    return begin(ledger, space)


def tell_all(callback: Callback, record) -> None:
    callback.trial_started(record)
    callback.epoch_ended(record, epoch_report(1))
    callback.attempt_failed(record)
    callback.epoch_ended(record, epoch_report(2))
    callback.trial_paused(record)
    callback.trial_ended(record)


def test_each_hears_of_everything_in_order_before_the_run_ends(record):
    heard, warnings = [], []
    with InBackground({"a": Noting(heard, "a"), "b": Noting(heard, "b")}, warnings.append) as background:
        tell_all(background, record)
    events = [("start", 0), ("epoch", 0, 1), ("attempt failed", 0), ("epoch", 0, 2), ("paused", 0), ("end", 0)]
    assert heard == [(name, *event) for event in events for name in ("a", "b")]
    assert warnings == []


def test_one_that_fails_is_warned_of_once_and_hides_nothing_from_the_others(record):
    heard, warnings = [], []
    callbacks = {"TensorBoard": Failing(heard, "a"), "old checkpoints": Noting(heard, "b")}
    with InBackground(callbacks, warnings.append) as background:
        tell_all(background, record)
    assert warnings == [
        "TensorBoard: epoch 1: the picture is gone; the search continues, and this warning is not repeated"
    ]
    assert [event[1] for event in heard if event[0] == "a"] == ["start", "attempt failed", "paused"]
    assert [event[1] for event in heard if event[0] == "b"] == [
        "start",
        "epoch",
        "attempt failed",
        "epoch",
        "paused",
        "end",
    ]


def test_a_thread_of_one_that_fails_is_warned_of_once_and_prints_no_stack(capsys):
    """As TensorBoard's writers are threads of their own."""
    before, said = threading.excepthook, []
    with InBackground({}, said.append):
        for _ in range(2):
            failing = threading.Thread(target=lambda: 1 / 0)
            failing.start()
            failing.join()
    assert said == ["a background thread: division by zero; the search continues, and this warning is not repeated"]
    assert threading.excepthook is before
    assert capsys.readouterr() == ("", "")


def test_one_that_is_stuck_keeps_nobody_waiting_and_is_named_at_the_end(record):
    warnings, stuck = [], Stuck()
    try:
        with InBackground({"TensorBoard": stuck}, warnings.append, closes_within=0.01) as background:
            tell_all(background, record)  # returns, though the first call has not
        assert warnings == ["TensorBoard: not finished after 0 s; check that the storage is reachable"]
    finally:
        stuck.back.set()


def test_a_run_that_is_interrupted_does_not_wait(record):
    warnings, stuck = [], Stuck()
    try:
        background = InBackground({"TensorBoard": stuck}, warnings.append).__enter__()
        background.trial_started(record)
        background.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert not stuck.back.is_set()
        assert warnings == []
    finally:
        stuck.back.set()


def test_it_keeps_no_process_from_ending():
    """A picture that hangs in a file system must not."""
    with InBackground({}, print):
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "decorations"]
        assert thread.daemon
