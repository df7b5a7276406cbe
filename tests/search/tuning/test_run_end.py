from __future__ import annotations

import copy
import time

import pytest

from search.storage.journal import JournalLost
from search.tuning.run_end import Stopping


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_without_a_reason_nothing_stops():
    stopping = Stopping()
    assert not stopping("t0", {"ended": None})
    assert not stopping.stop_all()
    assert stopping.exit_code == 0


def test_at_first_there_is_no_reason_and_nothing_runs():
    stopping = Stopping()
    assert (stopping.over, stopping.reason, stopping.unwritable) == (False, None, False)
    assert stopping.running.numbers == set()


def test_each_trial_ends_at_its_next_report_and_then_the_run(monkeypatch):
    stopping = Stopping(time_budget=60)
    stopping.running.start(3)
    assert not stopping("t0", {"ended": None})
    started = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: started + 61)
    assert stopping("t0", {"ended": None})
    assert not stopping("t1", {"ended": "max_epochs"})
    assert not stopping.stop_all()
    stopping.running.leave(3)
    assert stopping.stop_all()
    assert stopping.reason == "the time budget is spent: the same command continues the study"
    assert stopping.exit_code == 0


@pytest.mark.parametrize("budget", [0, 0.5, 60])
def test_the_time_budget_is_spent_when_its_last_second_is_over(budget, clock):
    stopping = Stopping(time_budget=budget)
    if budget:
        clock.now += budget - 0.25
        assert not stopping.over
        clock.now += 0.25
    assert stopping.over


def test_a_report_without_an_end_stops_its_trial_once_there_is_a_reason():
    stopping = Stopping()
    stopping.stop("enough", 0)
    assert stopping("t0", {})
    assert stopping("t0", {"ended": None})


def test_the_run_ends_when_the_last_trial_that_started_has_left():
    stopping = Stopping()
    for number in (3, 5):
        stopping.running.start(number)
    stopping.running.suggest(7)  # Tune does not start it any more
    stopping.stop("enough", 0)
    for number in (5, 9):  # 9 failed before it began
        stopping.running.leave(number)
        assert not stopping.stop_all()
    stopping.running.leave(3)
    assert stopping.stop_all()


def test_the_first_reason_stays():
    stopping = Stopping()
    stopping.stop("first", 1)
    stopping.stop("second", 2)
    assert (stopping.reason, stopping.exit_code) == ("first", 1)


def test_a_spent_time_budget_is_no_reason_where_there_is_one(clock):
    stopping = Stopping(time_budget=1)
    stopping.stop("first", 130)
    clock.now += 2
    assert stopping.over
    assert (stopping.reason, stopping.exit_code) == ("first", 130)


def test_a_study_that_cannot_be_written_ends_the_run_with_what_the_system_said():
    stopping = Stopping()
    stopping.cannot_write(OSError("no space left"))
    assert stopping.unwritable
    assert stopping.over
    assert stopping.exit_code == 1
    assert stopping.reason == (
        "the study cannot be written (no space left); once that is fixed: the same command continues the study"
    )


def test_a_study_that_was_deleted_is_not_said_to_continue():
    stopping = Stopping()
    assert not stopping.lost
    stopping.cannot_write(JournalLost("a/ledger.journal: truncated while the search ran"))
    assert (stopping.lost, stopping.unwritable, stopping.exit_code) == (True, True, 1)
    assert stopping.reason == (
        "the study's ledger is lost (a/ledger.journal: truncated while the search ran): restore it, or start a "
        "new study"
    )


def test_nothing_is_written_either_when_the_run_was_ending_already():
    stopping = Stopping()
    stopping.stop("first", 130)
    assert not stopping.unwritable
    stopping.cannot_write(OSError("no space left"))
    assert (stopping.unwritable, stopping.reason, stopping.exit_code) == (True, "first", 130)


def test_tunes_snapshots_of_it_are_empty():
    assert vars(copy.copy(Stopping(time_budget=60))) == {}
