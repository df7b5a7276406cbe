"""Which sampler proposes which trial, and what it is seeded with."""

from __future__ import annotations

import warnings

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from search.sampling import samplers
from search.sampling.encoding import Encoding
from search.sampling.forest import ForestSampler
from search.sampling.point_sampler import SobolSampler
from search.sampling.samplers import sampler_for
from search.study.space import Parameter, Space

SPACE = Space((Parameter(name="x", low=0.0, high=1.0, help=""),))


def made(name, number=20, *, seed=7, attempt=0, space=SPACE):
    return sampler_for(name, seed, number, attempt, encoding=Encoding(space), max_epochs=9)


def drawn(sampler):
    trial = optuna.create_study(sampler=sampler).ask()
    return SPACE.suggest(trial)["x"]


@pytest.mark.parametrize(
    ("name", "kind"), [("tpe", TPESampler), ("gp", GPSampler), ("random", RandomSampler), ("forest", ForestSampler)]
)
def test_each_name_is_its_sampler(name, kind):
    assert type(made(name)) is kind


@pytest.mark.parametrize("name", ["forest", "mixture"])
def test_the_first_ten_trials_fill_the_space(name):
    assert [type(made(name, number)) for number in range(10)] == [SobolSampler] * 10
    assert type(made(name, 10)) is ForestSampler


def test_the_mixture_takes_turns():
    turns = [ForestSampler, ForestSampler, TPESampler, ForestSampler, RandomSampler]
    assert [type(made("mixture", number)) for number in range(10, 20)] == [*turns, *turns]


@pytest.mark.parametrize("name", ["tpe", "gp", "random"])
def test_trial_attempt_and_study_each_change_what_is_drawn(name):
    first = drawn(made(name))
    assert drawn(made(name)) == first
    others = [made(name, 21), made(name, seed=8), made(name, attempt=1), made(name, attempt=2)]
    assert len({first, *map(drawn, others)}) == 5


def test_a_draw_knows_the_study_the_trial_and_its_own_seed(monkeypatch):
    monkeypatch.setitem(samplers.SAMPLERS, "plain", lambda draw: draw)
    encoding = Encoding(SPACE)
    first = sampler_for("plain", 7, 3, encoding=encoding, max_epochs=9)
    assert (first.study_seed, first.number, first.encoding, first.max_epochs) == (7, 3, encoding, 9)
    again = sampler_for("plain", 7, 3, 2, encoding=encoding, max_epochs=9)
    assert (again.study_seed, again.number) == (7, 3)
    # Written down once: a study of yesterday goes on with the seeds that it began with.
    assert (first.seed, again.seed) == (3466196061, 2682643779)
    assert sampler_for("plain", 7, 3, 0, encoding=encoding, max_epochs=9).seed == first.seed


def test_tpe_keeps_away_from_what_runs():
    """The constant liar: a trial that runs counts among the bad ones."""
    ended = [(TrialState.COMPLETE, place / 20, 1 - abs(place / 20 - 0.5)) for place in range(20)]
    running = [(TrialState.RUNNING, 0.45 + place / 200, None) for place in range(20)]

    def proposal(trials):
        study = optuna.create_study(direction="maximize", sampler=made("tpe", 40))
        distributions = {"x": FloatDistribution(0.0, 1.0)}
        for state, x, value in trials:
            study.add_trial(create_trial(state=state, value=value, params={"x": x}, distributions=distributions))
        return SPACE.suggest(study.ask())["x"]

    assert abs(proposal(ended) - 0.5) < 0.1
    assert abs(proposal([*ended, *running]) - 0.5) > 0.1


def test_pinned_experiments_of_optuna_are_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made("tpe")
