from __future__ import annotations

from types import SimpleNamespace

import pytest

from search.tuning.running_trials import RunningTrials


def test_a_trial_is_suggested_then_started_and_leaves():
    running = RunningTrials()
    running.suggest(3)
    assert (running.numbers, running.started) == ({3}, set())
    running.start(3)
    assert (running.numbers, running.started) == ({3}, {3})
    assert running.leave(3) is True
    assert (running.numbers, running.started) == (set(), set())
    assert running.leave(3) is False


def test_one_that_fails_before_it_starts_leaves_too():
    running = RunningTrials()
    running.suggest(3)
    running.suggest(4)
    assert running.leave(3) is False
    assert running.numbers == {4}


def test_the_record_is_that_of_the_start():
    running = RunningTrials()
    running.start(3)
    with pytest.raises(AssertionError):
        running.record(3)
    record = SimpleNamespace(number=3)
    running.keep(record)
    assert running.record(3) is record
    assert running.started == {3}
    with pytest.raises(KeyError):
        running.record(4)


def test_what_a_reader_got_does_not_change():
    running = RunningTrials()
    running.start(3)
    numbers = running.numbers
    running.leave(3)
    assert numbers == {3}
