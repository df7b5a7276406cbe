"""Which trials a sampler sees, and as what."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.sampling import history
from search.sampling import proposer as proposer_module
from search.sampling.history import BEST_SEEN, MOST_SEEN, SamplerHistory
from search.sampling.proposer import Proposer

RUNNING, COMPLETE, PRUNED, FAIL = TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


class Trials:
    """A ledger of which only Optuna's view is asked for."""

    def __init__(self, *trials):
        self.trials = []
        for trial in trials:
            self.add(*trial)

    def frozen_trials(self):
        return self.trials

    def add(self, state, *scores):
        self.trials.append(made(state, *scores))
        self.trials[-1].number = len(self.trials) - 1

    def end(self, number, state, *scores):
        self.trials[number] = made(state, *scores)
        self.trials[number].number = number


def made(state, *scores):
    """A trial with these scores by epoch; complete, its value is the best of them."""
    trial = create_trial(state=RUNNING, intermediate_values=dict(enumerate(scores, start=1)))
    if scores and state in (COMPLETE, PRUNED):
        trial.value = max(scores) if state == COMPLETE else scores[-1]
    trial.state = state
    return trial


def numbers(visible, number, waiting=()):
    return [trial.number for trial in visible.at(number, waiting)]


@pytest.fixture
def few(monkeypatch):
    """Of six ended trials two are there for being the best."""
    monkeypatch.setattr(history, "MOST_SEEN", 6)
    monkeypatch.setattr(history, "BEST_SEEN", 2)


def test_of_six_hundred_trials_two_hundred_are_the_best():
    assert (MOST_SEEN, BEST_SEEN) == (600, 200)
    ledger = Trials(*([COMPLETE, 1.0 - number / 1000] for number in range(599)))
    visible = SamplerHistory(ledger)
    assert numbers(visible, 599) == list(range(599))
    for _ in range(599, 800):
        ledger.add(COMPLETE, 0.1)
    assert numbers(visible, 800) == [*range(200), *range(400, 800)]


@pytest.mark.parametrize(
    ("count", "seen"),
    [
        (5, [0, 1, 2, 3, 4]),
        # From the sixth on the newest four, and the best two of all.
        (6, [0, 1, 2, 3, 4, 5]),
        (7, [0, 1, 3, 4, 5, 6]),
        (9, [0, 1, 5, 6, 7, 8]),
    ],
)
def test_where_many_have_ended_the_best_and_the_newest_are_seen(count, seen, few):
    ledger = Trials(*([COMPLETE, 0.9 - 0.1 * number] for number in range(count)))
    assert numbers(SamplerHistory(ledger), count) == seen
    step_by_step = SamplerHistory(ledger)
    assert [numbers(step_by_step, number) for number in range(count + 1)][-1] == seen


def test_the_best_that_are_among_the_newest_are_seen_once(few):
    ledger = Trials(*([PRUNED, 0.1 * number] for number in range(8)))
    assert numbers(SamplerHistory(ledger), 8) == [4, 5, 6, 7]


def test_the_newest_are_those_born_last_not_those_that_ended_last(few):
    ledger = Trials([RUNNING, 0.1], *([COMPLETE, 0.5 + 0.01 * number] for number in range(1, 9)))
    visible = SamplerHistory(ledger)
    assert numbers(visible, 9) == [0, 5, 6, 7, 8]
    ledger.end(0, COMPLETE, 0.1)
    ledger.add(COMPLETE, 0.2)
    assert numbers(visible, 10) == [6, 7, 8, 9]  # 7 and 8 are the best, 0 is old


def test_running_trials_are_always_seen_and_failed_ones_never(few):
    ledger = Trials([RUNNING], [FAIL, 0.9], *([COMPLETE, 0.5] for _ in range(8)), [RUNNING, 0.1], [FAIL])
    visible = SamplerHistory(ledger)
    for _ in range(2):  # asked again, it has not forgotten
        assert numbers(visible, 12) == [0, 2, 3, 6, 7, 8, 9, 10]
    ledger.end(0, FAIL)
    ledger.end(10, PRUNED, 0.1)
    assert numbers(visible, 12) == [2, 3, 7, 8, 9, 10]
    assert numbers(SamplerHistory(ledger), 12) == [2, 3, 7, 8, 9, 10]


def test_trials_are_seen_from_their_number_on():
    ledger = Trials([COMPLETE, 0.5], [RUNNING], [COMPLETE, 0.4])
    visible = SamplerHistory(ledger)
    assert [numbers(visible, number) for number in range(4)] == [[], [0], [0, 1], [0, 1, 2]]


def test_a_trial_that_ended_between_two_proposals_is_seen_as_it_ended():
    ledger = Trials([RUNNING, 0.3])
    visible = SamplerHistory(ledger)
    assert [trial.state for trial in visible.at(1)] == [RUNNING]
    ledger.end(0, PRUNED, 0.3, 0.4)
    assert [(trial.state, trial.value) for trial in visible.at(1)] == [(PRUNED, 0.4)]


def test_a_paused_trial_is_a_pruned_one_with_the_score_of_its_last_epoch():
    ledger = Trials([RUNNING, 0.2, 0.9, 0.4], [RUNNING, 0.3], [COMPLETE, 0.1])
    visible = SamplerHistory(ledger)
    paused, running, complete = visible.at(3, waiting=[0])
    assert (paused.number, paused.state, paused.value) == (0, PRUNED, 0.4)
    assert paused.intermediate_values == {1: 0.2, 2: 0.9, 3: 0.4}
    assert (running.state, running.value, complete.state) == (RUNNING, None, COMPLETE)
    assert (ledger.trials[0].state, ledger.trials[0].value) == (RUNNING, None)  # the ledger's own is as it was
    assert [trial.state for trial in visible.at(3)] == [RUNNING, RUNNING, COMPLETE]  # it goes on


def test_complete_trials_come_by_value_then_pruned_ones_by_their_last_epoch_and_its_value():
    order = [
        made(COMPLETE, 0.1, 0.8, 0.3),
        made(COMPLETE, 0.4),
        made(COMPLETE, 0.2, 0.1),
        made(PRUNED, 0.1, 0.1, 0.1),
        made(PRUNED, 0.2, 0.7),
        made(PRUNED, 0.9, 0.6),
        made(PRUNED, 0.9),
        made(PRUNED),
    ]
    ranks = [history._rank(trial) for trial in order]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    least = -float("inf")
    assert ranks[:4] == [(least, -0.8), (least, -0.4), (least, -0.2), (-3.0, -0.1)]
    assert history._rank(made(COMPLETE)) == (least, 0.0)  # without a score, behind the complete ones that have one
    assert ranks[-1] == (0.0, 0.0)


def test_of_equal_trials_the_first_ones_count_as_the_best(few):
    ledger = Trials(*([COMPLETE, 0.5] for _ in range(9)))
    assert numbers(SamplerHistory(ledger), 9) == [0, 1, 5, 6, 7, 8]


def test_waiting_trials_reach_the_sampler_as_pruned_ones(ledger, space, settings, make_report, monkeypatch):
    told = []

    class Spy(optuna.samplers.RandomSampler):
        def before_trial(self, study, trial):
            told.append([other.state for other in study.get_trials(deepcopy=False)])

    monkeypatch.setattr(proposer_module, "sampler_for", lambda *args, **options: Spy(seed=0))
    proposer = Proposer(ledger, space, settings, sampler="random")
    ledger.begin(proposer.propose(0))
    ledger.add_epoch(0, make_report(1, 0.5))
    monkeypatch.setattr(proposer_module, "ATTEMPTS", 1)
    monkeypatch.setattr(proposer_module, "RANDOM_ATTEMPTS", 0)
    proposer.propose(1)  # the spy draws the same again: nothing new
    proposer.propose(1, waiting=[0])
    assert told == [[], [RUNNING], [PRUNED]]
