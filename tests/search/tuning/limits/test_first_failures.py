"""A search whose first trials all fail for the same reason."""

from __future__ import annotations

import pytest

from search.ledger.records import Failure
from search.tuning.limits.first_failures import FirstFailures
from search.tuning.run_end import Stopping
from tests.made.studies import begin
from tests.processes.loops import epoch_report


@pytest.fixture
def ended(ledger, space):
    """Makes a trial that ended: by an error of this text, by a failure of this kind, or in this state."""

    def ended(text="", kind="error", state="failed"):
        number = begin(ledger, space).number
        if state == "diverged":
            ledger.add_epoch(number, epoch_report(1, float("nan"), ended="diverged"))
            return ledger.finish(number)
        ledger.add_epoch(number, epoch_report(1))
        if state != "failed":
            return getattr(ledger, state)(number)
        ledger.add_failure(number, Failure(kind=kind, epoch=0, message=text))
        return ledger.fail(number, text)

    return ended


def reason_after(records, past=()):
    stopping = Stopping()
    callback = FirstFailures(stopping, list(past))
    for record in records:
        callback.trial_ended(record)
    assert stopping.exit_code == (0 if stopping.reason is None else 1)
    return stopping.reason


def bug(number=3):
    return f"Traceback\n  in run\nIndexError: index {number} is out of bounds\n"


def test_five_that_fail_alike_end_the_run_with_what_they_say(ended):
    records = [ended(bug(number)) for number in range(5)]
    assert reason_after(records[:4]) is None
    assert reason_after(records) == (
        "the first 5 trials failed for the same reason (IndexError: index 4 is out of bounds); once that is fixed: the "
        "same command continues the study, with new trials"
    )


def test_so_do_five_whose_processes_are_lost_whatever_ray_says_of_each(ended):
    assert reason_after([ended(f"The actor died: pid {number}, {'x' * number}", "process_lost") for number in range(5)])


def test_different_failures_do_not(ended):
    assert reason_after([*(ended(bug()) for _ in range(4)), ended("KeyError: 'b'")]) is None
    assert reason_after([*(ended(bug()) for _ in range(4)), ended(bug(), "process_lost")]) is None


@pytest.mark.parametrize("state", ["complete", "prune", "diverged"])
@pytest.mark.parametrize("place", [0, 4])
def test_one_that_trained_ends_the_watch(state, place, ended):
    records = [ended(bug()) for _ in range(9)]
    records.insert(place, ended(state=state))
    assert reason_after(records) is None


def test_a_study_that_goes_on_has_had_its_first_trials_if_one_of_them_trained(ended):
    failed = [ended(bug()) for _ in range(5)]
    assert reason_after(failed, past=[ended(state="prune")]) is None
    assert reason_after(failed[:4], past=failed) is None
    assert reason_after(failed, past=failed) is not None
