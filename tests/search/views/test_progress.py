from __future__ import annotations

import pytest

from search.views.progress import ProgressState
from tests.made.records import trial_record
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
    state = ProgressState(budget=10, time_budget=None, past=[ended(0.9)], expected_epochs=14)
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
    state.started -= 30  # half a minute for 2 epochs, 12 to go
    assert state.seconds_left == pytest.approx(180, abs=1)
    state.expected_epochs = 3  # but 6 trials have not ended
    assert state.seconds_left == pytest.approx(90, abs=1)
    state.time_budget = 40
    assert state.seconds_left == pytest.approx(10, abs=1)
    state.time_budget, state.budget = None, 4
    assert state.seconds_left == 0


def test_a_trial_that_fails_at_once_tells_nothing_about_the_time_left(ended):
    state = ProgressState(budget=50, time_budget=None, past=[], expected_epochs=200)
    state.trial_ended(ended(None, "fail"))
    assert state.seconds_left is None


def test_an_audited_trial_that_ends_before_its_last_epoch_leaves_fewer_to_expect(make_report):
    scores, config = [0.5, 0.4, 0.3], {"training.max_epochs": 12}
    past = [trial_record(0, scores, audited=1, config=config), trial_record(1, scores, config=config)]
    state = ProgressState(budget=10, time_budget=None, past=past, expected_epochs=40)
    assert state.expected_epochs == 40 - 9
    state.trial_ended(trial_record(2, scores[:1], audited=1, config=config, state="failed"))
    assert state.expected_epochs == 40 - 9 - 11


def test_the_best_of_an_earlier_run_may_be_paused(ledger, space, make_report):
    paused = begin(ledger, space)
    ledger.add_epoch(paused.number, make_report(1, 0.58))
    state = ProgressState(budget=10, time_budget=None, past=ledger.records())
    other = begin(ledger, space)
    state.epoch_ended(other, make_report(1, 0.25))
    assert (state.best.number, state.best_score, state.ended) == (paused.number, 0.58, 0)


def test_a_running_trial_may_be_the_best_so_far(ended, ledger, space, make_report):
    state = ProgressState(budget=10, time_budget=None, past=[ended(0.4)])
    running = begin(ledger, space)
    for epoch, score in ((1, 0.3), (2, 0.6), (3, 0.5)):
        state.epoch_ended(running, make_report(epoch, score))
    assert state.best is running
    assert state.best_score == 0.6
