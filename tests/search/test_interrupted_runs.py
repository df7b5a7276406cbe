from __future__ import annotations

import os
import signal

import pytest

from search.interrupts import Interrupted, ended_by_signals
from search.tuning.run_end import CONTINUES, Stopping


def ends(stopping):
    return lambda exit_code: stopping.stop(f"interrupted{CONTINUES}", exit_code)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_one_signal_ends_the_run_and_two_end_it_at_once(number, code):
    stopping = Stopping()
    before = signal.getsignal(number)
    with ended_by_signals(ends(stopping)):
        os.kill(os.getpid(), number)
        assert stopping.over
        assert stopping.exit_code == code
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(number)
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_run_under_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopping = Stopping()
        with ended_by_signals(ends(stopping)):
            signal.raise_signal(signal.SIGHUP)
        assert not stopping.over
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_script_runs_in_the_background_still_hears_ctrl_c_while_trials_run():
    """Such a process is started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stopping = Stopping()
        with ended_by_signals(ends(stopping)):
            signal.raise_signal(signal.SIGINT)
        assert stopping.exit_code == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_the_second_signal_may_be_the_other_one_and_does_not_change_the_reason(numbers):
    stopping = Stopping()
    with ended_by_signals(ends(stopping)):
        signal.raise_signal(numbers[0])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(numbers[1])
    assert stopping.reason == "interrupted: the same command continues the study"
    assert stopping.exit_code == 128 + numbers[0]


def test_the_first_signal_of_a_run_that_ends_already_lets_it_end():
    stopping = Stopping()
    with ended_by_signals(ends(stopping)):
        stopping.stop("the time budget is spent", 0)
        signal.raise_signal(signal.SIGINT)
        assert (stopping.reason, stopping.exit_code) == ("the time budget is spent", 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_go_where_they_went_before_also_after_an_error():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]

    def run():
        with ended_by_signals(ends(Stopping())):
            assert not {signal.getsignal(number) for number in numbers} & set(before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert [signal.getsignal(number) for number in numbers] == before
