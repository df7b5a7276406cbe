from __future__ import annotations

import pytest

from search.views.progress import ProgressState
from tests.made.studies import begin


@pytest.fixture
def ended(ledger, space, make_report):
    def make(score, end="complete"):
        number = begin(ledger, space).number
        if score is not None:
            ledger.add_epoch(number, make_report(1, score))
        return {"complete": ledger.complete, "prune": ledger.prune, "fail": lambda n: ledger.fail(n, "boom")}[end](
            number
        )

    return make


def test_counts_best_and_time_left(ended):
    state = ProgressState(budget=10, time_budget=None, past=[ended(0.9)])
    assert state.ended == 1
    assert state.seconds_left is None
    first, second = ended(0.4), ended(0.5, "prune")
    for record in (first, second):
        state.trial_started(record)
        state.epoch_ended(record, record.reports[0])
        state.trial_ended(record)
    state.trial_ended(ended(None, "fail"))
    assert dict(state.counts) == {"complete": 2, "pruned": 1, "failed": 1}
    assert state.best is not None
    assert state.best.score == state.best_score == 0.9
    assert state.epochs == 2
    assert not state.running
    state.started -= 30  # half a minute for 3 trials of this run, 6 to go
    assert state.seconds_left == pytest.approx(60, abs=1)
    state.time_budget = 40
    assert state.seconds_left == pytest.approx(10, abs=1)


def test_a_running_trial_may_be_the_best_so_far(ended, ledger, space, make_report):
    state = ProgressState(budget=10, time_budget=None, past=[ended(0.4)])
    running = begin(ledger, space)
    for epoch, score in ((1, 0.3), (2, 0.6), (3, 0.5)):
        state.epoch_ended(running, make_report(epoch, score))
    assert state.best is running
    assert state.best_score == 0.6
