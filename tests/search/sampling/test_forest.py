from __future__ import annotations

import numpy as np
import optuna

from search.sampling.encoding import Encoding
from search.sampling.samplers import DESIGN, sampler_for
from search.study.space import Parameter, Space

SPACE = Space(
    (
        Parameter(name="kind", choices=("a", "b", "c"), help=""),
        Parameter(name="x", low=0.0, high=1.0, help=""),
        Parameter(name="y", low=0.0, high=1.0, when=("kind", ("b",)), help=""),
    )
)


def value(params):
    return 1 - (params["x"] - 0.7) ** 2 - (1 - params.get("y", 0.0)) ** 2


def search(sampler_of, trials, epochs=1):
    study, encoding, found = optuna.create_study(direction="maximize"), Encoding(SPACE), []
    for number in range(trials):
        study.sampler = sampler_of(number, encoding)
        trial = study.ask()
        SPACE.suggest(trial)
        found.append(value(trial.params))
        length = epochs if number % 3 else 9
        for epoch in range(1, length + 1):
            trial.report(found[-1] * (1 - 0.5**epoch), epoch)
        study.tell(trial, found[-1])
    return study, found


def forest(number, encoding):
    return sampler_for("forest", 0, number, encoding=encoding, max_epochs=9)


def test_it_finds_what_is_good_in_a_conditional_space_sooner_than_chance():
    study, found = search(forest, 30)
    _, random = search(lambda number, _: optuna.samplers.RandomSampler(seed=number), 30)
    assert np.mean(found[15:]) > np.mean(random[15:]) + 0.3
    assert study.best_params["kind"] == "b"


def test_trials_of_few_epochs_teach_it_too():
    _, found = search(forest, 30, epochs=2)
    assert np.mean(found[20:]) > 0.6  # 0.1 by chance, 1 is the best there is


def test_trials_of_one_epoch_alone():
    study, encoding = optuna.create_study(direction="maximize"), Encoding(SPACE)
    for number in range(DESIGN + 2):
        study.sampler = sampler_for("forest", 0, number, encoding=encoding, max_epochs=1)
        trial = study.ask()
        SPACE.suggest(trial)
        trial.report(value(trial.params), 1)
        study.tell(trial, value(trial.params))
    assert "x" in study.trials[-1].params


def test_it_begins_with_a_design_that_fills_the_space():
    study, first = search(forest, DESIGN)
    assert search(forest, DESIGN)[1] == first
    assert {trial.params["kind"] for trial in study.trials} == {"a", "b", "c"}
    halves = [trial.params["x"] > 0.5 for trial in study.trials[:8]]
    assert sum(halves) == 4  # eight points of a Sobol sequence halve every dimension


def test_without_any_score_it_draws_at_random():
    study = optuna.create_study(direction="maximize", sampler=forest(DESIGN, Encoding(SPACE)))
    trial = study.ask()
    SPACE.suggest(trial)
    assert trial.params.keys() >= {"kind", "x"}
