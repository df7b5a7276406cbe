from __future__ import annotations

import optuna
import pytest

from search.sampling.encoding import Encoding
from search.sampling.samplers import SAMPLERS, sampler_for
from search.study.space import Space


def run(study, space, sampler, count, make_report=None):
    drawn, encoding = [], Encoding(space)
    for _ in range(count):
        number = len(study.trials)
        study.sampler = sampler_for(sampler, 7, number, encoding=encoding, max_epochs=9)
        trial = study.ask()
        drawn.append(space.suggest(trial))
        score = drawn[-1]["model.width"] + drawn[-1]["model.dropout"]
        trial.report(score, 9)
        study.tell(trial, score)
    return drawn


def small(space):
    kept = ("model.width", "model.bottleneck", "model.aspp_rates", "model.dropout")
    return Space(tuple(parameter for parameter in space.parameters if parameter.name in kept))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_that_went_on_draws_what_an_undisturbed_one_draws(name, space):
    end = 14
    if name == "gp":  # its model is slow: fewer parameters, and two trials that it proposes
        end, space = 12, small(space)
    whole = optuna.create_study(direction="maximize")
    expected = run(whole, space, name, end)
    storage = optuna.storages.InMemoryStorage()
    first = optuna.create_study(direction="maximize", storage=storage, study_name="s")
    drawn = run(first, space, name, 11)
    drawn += run(optuna.load_study(storage=storage, study_name="s"), space, name, end - 11)
    assert drawn == expected
    assert len({tuple(sorted(d.items())) for d in drawn}) == end


def test_tpe_models_the_conditional_space_jointly(space):
    """Independent sampling, to which plain TPE falls back, would say so in a warning."""
    study = optuna.create_study(direction="maximize")
    with optuna_warnings() as messages:
        run(study, space, "tpe", 16)
    assert not [message for message in messages if "independent" in message.lower()]


class optuna_warnings:
    def __enter__(self):
        import logging

        self.messages: list[str] = []
        outer = self

        class Handler(logging.Handler):
            def emit(self, record):
                outer.messages.append(record.getMessage())

        self.handler = Handler(level=logging.WARNING)
        logging.getLogger("optuna").addHandler(self.handler)
        return self.messages

    def __exit__(self, *_):
        import logging

        logging.getLogger("optuna").removeHandler(self.handler)
