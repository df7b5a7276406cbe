"""A study whose folder takes nothing any more."""

from __future__ import annotations

import errno

import pytest

from search.tuning.callbacks import Callback
from tests.made.recording import Driver

FULL = OSError(errno.ENOSPC, "No space left on device")
REASON = (
    "the study cannot be written ([Errno 28] No space left on device); once that is fixed"
    ": the same command continues the study"
)


class FullWatcher(Callback):
    """Writes files of its own."""

    def trial_started(self, record):
        raise FULL


@pytest.fixture
def driver(tmp_path):
    """A started trial that is to pause, one that is to end, one that is to be stopped, and one that waits."""
    made = Driver(tmp_path, max_failures=0)
    for _ in range(4):
        number = made.begin()
        made.start(number)
        made.epoch(number, 1)
    made.epoch(1, 2, ended="max_epochs")
    made.scheduler.paused.add("tune0")
    made.scheduler.stopped.add("tune2")
    made.scheduler.waiting = [3]
    made.pop_evicted = [3]
    made.heard.clear()
    return made


HOOKS = {
    "a result": lambda driver: driver.epoch(0, 2),
    "a pause": lambda driver: driver.complete(0),
    "an end": lambda driver: driver.complete(1, {"ended": "max_epochs"}),
    "a stop": lambda driver: driver.complete(2),
    "an error": lambda driver: driver.error(0),
    "pruning": lambda driver: driver.recorder.prune([0]),
    "the end of those that wait": lambda driver: driver.recorder.end_waiting(),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_full_disk_ends_the_run_and_nobody_hears_of_what_is_not_in_the_ledger(hook, driver):
    driver.ledger.full = FULL
    HOOKS[hook](driver)
    assert driver.heard == []
    assert driver.stopping.unwritable
    assert (driver.stopping.reason, driver.stopping.exit_code) == (REASON, 1)


@pytest.mark.parametrize("hook", [*HOOKS, "a start"])
def test_from_then_on_nothing_is_written_even_if_there_is_space_again(hook, driver):
    driver.stopping.cannot_write(FULL)
    driver.stopping.reason = None  # also without its reason
    before = driver.ledger.records()
    ({"a start": lambda driver: driver.start(0)} | HOOKS)[hook](driver)
    assert driver.heard == []
    assert driver.ledger.records() == before


def test_pruning_ends_at_the_first_that_cannot_be_written(driver):
    prune = driver.ledger.prune

    def prune_once(number):
        record = prune(number)
        driver.ledger.full = FULL
        return record

    driver.ledger.prune = prune_once
    driver.recorder.prune([3, 0, 2])
    assert [what for what, *_ in driver.heard] == ["prune", "searcher", "callback 0"]
    assert [driver.state(number) for number in range(4)] == ["running"] * 3 + ["pruned"]


def test_a_watcher_that_cannot_write_ends_the_run_as_well(driver):
    driver.recorder.callbacks.append(FullWatcher())
    driver.start(driver.begin())
    assert (driver.stopping.reason, driver.stopping.exit_code) == (REASON, 1)


def test_other_errors_are_not_taken_for_a_full_disk(driver):
    class Broken(Callback):
        def trial_started(self, record):
            raise KeyError("a bug")

    driver.recorder.callbacks.append(Broken())
    number = driver.begin()
    with pytest.raises(KeyError):
        driver.start(number)
    assert driver.stopping.reason is None


@pytest.mark.parametrize("end", ["complete", "error"])
def test_trials_leave_the_table_also_when_nothing_can_be_written_any_more(driver, end):
    """Otherwise the run would wait for them for ever."""
    driver.stopping.cannot_write(OSError("no space left"))
    for number in range(4):
        assert not driver.stopping.stop_all()
        getattr(driver, end)(number)
    assert driver.stopping.stop_all()
