from __future__ import annotations

import os
import signal
import time

import pytest

from search.stopping import Stopping


def test_without_a_reason_nothing_stops():
    stopping = Stopping()
    assert not stopping("t0", {"ended": None})
    assert not stopping.stop_all()
    assert stopping.exit_code == 0


def test_each_trial_ends_at_its_next_report_and_then_the_run(monkeypatch):
    stopping = Stopping(time_budget=60)
    stopping.running = {3}
    assert not stopping("t0", {"ended": None})
    started = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: started + 61)
    assert stopping("t0", {"ended": None})
    assert not stopping("t1", {"ended": "max_epochs"})
    assert not stopping.stop_all()
    stopping.running.clear()
    assert stopping.stop_all()
    assert stopping.reason == "the time budget is spent: the same command continues the study"
    assert stopping.exit_code == 0


def test_the_first_reason_stays():
    stopping = Stopping()
    stopping.stop("first", 1)
    stopping.stop("second", 2)
    assert (stopping.reason, stopping.exit_code) == ("first", 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_the_run_and_two_end_it_at_once(number, code):
    stopping = Stopping()
    before = signal.getsignal(number)
    with stopping.on_signals():
        os.kill(os.getpid(), number)
        assert stopping.over
        assert stopping.exit_code == code
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
