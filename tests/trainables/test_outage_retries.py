from __future__ import annotations

import itertools

import pytest

from trainables import outage_retries
from trainables.outage_retries import retry


@pytest.fixture
def slept(monkeypatch):
    pauses = []
    monkeypatch.setattr(outage_retries.time, "sleep", pauses.append)
    return pauses


class Fails:
    """An action that fails so many times, each time with an error of its own."""

    def __init__(self, times: int):
        self.times, self.calls = times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(f"failure {self.calls}")
        return f"call {self.calls}"


@pytest.mark.parametrize("times", [0, 1, 2])
def test_it_is_repeated_after_each_pause_until_it_succeeds(times, slept):
    action = Fails(times)
    assert retry(action, pauses=(1.0, 2.0), passes=lambda error: True) == f"call {times + 1}"
    assert slept == [1.0, 2.0][:times]


def test_the_last_error_is_raised(slept):
    action = Fails(9)
    with pytest.raises(OSError, match="failure 3"):
        retry(action, pauses=(1.0, 2.0), passes=lambda error: True)
    assert (action.calls, slept) == (3, [1.0, 2.0])


def test_an_error_that_does_not_pass_is_raised_at_once(slept):
    action = Fails(9)
    with pytest.raises(OSError, match="failure 2"):
        retry(action, pauses=itertools.repeat(5.0), passes=lambda error: "1" in str(error))
    assert (action.calls, slept) == (2, [5.0])


def test_an_interruption_is_no_failure(slept):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry(interrupted, pauses=(1.0,), passes=lambda error: True)
    assert slept == []
