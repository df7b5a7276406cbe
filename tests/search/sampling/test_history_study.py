from __future__ import annotations

import inspect

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.sampling.history_study import HistoryStudy

RUNNING, COMPLETE, PRUNED = TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED


@pytest.fixture
def trials():
    made = []
    for number, (state, score) in enumerate([(COMPLETE, 0.5), (RUNNING, None), (PRUNED, 0.4)]):
        trial = create_trial(state=RUNNING, intermediate_values={} if score is None else {1: score})
        trial.state, trial.number, trial.value = state, number, score
        made.append(trial)
    return made


def test_the_sampler_is_told_of_each_trial_under_another_number_than_the_draft_s(trials):
    """The draft is number 0, and samplers leave out what has the draft's number."""
    seen = HistoryStudy(trials, None)
    assert [trial.number for trial in seen.get_trials(deepcopy=False)] == [3, 1, 2]
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [trial.state for trial in seen.get_trials(deepcopy=False)] == [COMPLETE, RUNNING, PRUNED]
    assert [trial.number for trial in seen.get_trials(states=(COMPLETE, PRUNED))] == [3, 2]
    later = HistoryStudy(trials[1:], None)
    assert [trial.number for trial in later.get_trials(deepcopy=False)] == [1, 2]
    assert later.get_trials(deepcopy=False)[0] is trials[1]
    assert later.get_trials()[0] is not trials[1]
    assert HistoryStudy([], None).get_trials() == []
    assert seen.direction.name == "MAXIMIZE"


def test_optuna_still_reads_trials_through_the_method_that_is_overridden():
    overridden = inspect.signature(optuna.Study._get_trials).parameters
    assert list(overridden) == list(inspect.signature(HistoryStudy._get_trials).parameters), (
        "this version of Optuna changed Study._get_trials, which search/sampling/history_study.py overrides"
    )
    assert "self._get_trials(" in inspect.getsource(optuna.Study.get_trials)


@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler, optuna.samplers.GPSampler])
def test_samplers_of_optuna_read_the_given_trials(sampler, trials, monkeypatch):
    read = []
    monkeypatch.setattr(HistoryStudy, "_get_trials", lambda *arguments, **named: read.append(1) or trials)
    study = HistoryStudy(trials, sampler(seed=0))
    study.ask().suggest_float("x", 0.0, 1.0)
    assert read
