"""One dimension of a space, and spaces of few of them."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.study.space import Parameter, Space
from tests.made.records import check_fixed


def parameter(**changes):
    return Parameter(**{"name": "x", "help": "what it does"} | changes)


DEPTHS = parameter(choices=(2, 3, 5))
NAMES = parameter(choices=("plain", "residual"))
SWITCH = parameter(choices=(False, True))
FLOAT = parameter(low=0.25, high=4.0)


@pytest.mark.parametrize(
    ("declared", "distribution"),
    [
        (DEPTHS, CategoricalDistribution((2, 3, 5))),
        (FLOAT, FloatDistribution(0.25, 4.0)),
        (parameter(low=1e-3, high=0.1, log=True), FloatDistribution(1e-3, 0.1, log=True)),
        (parameter(low=2.0, high=9.0, whole=True), IntDistribution(2, 9)),
        (parameter(low=1.6, high=9.6, whole=True), IntDistribution(1, 9)),
        (parameter(low=1, high=1000, log=True, whole=True), IntDistribution(1, 1000, log=True)),
    ],
)
def test_a_dimension_is_declared_to_optuna_as_it_is(declared, distribution):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    value = declared.suggest(trial)
    assert trial.distributions == {"x": distribution}
    assert trial.params == {"x": value}
    assert type(value) in (int, float)


@pytest.mark.parametrize(
    ("declared", "value", "nearest"),
    [
        (FLOAT, 0.5, 0.5),
        (FLOAT, 0.1, 0.25),
        (FLOAT, 9, 4.0),
        (FLOAT, 0.25, 0.25),
        (FLOAT, 4, 4.0),
        (FLOAT, "3", None),
        (FLOAT, True, None),
        (DEPTHS, 3, 3),
        (DEPTHS, 1, 2),
        (DEPTHS, 9, 5),
        (DEPTHS, 4, 3),  # as near as 5: the first of them
        (DEPTHS, 4.2, 5),
        (DEPTHS, "3", None),
        (DEPTHS, True, None),  # no number, though Python counts it as 1
        (NAMES, "residual", "residual"),
        (NAMES, "dense", None),
        (NAMES, 1.0, None),
        (SWITCH, True, True),
        (SWITCH, 0.7, None),
        (parameter(choices=("none", 2, 8)), 6, 8),
        (parameter(choices=("none", 2, 8)), "none", "none"),
        (parameter(choices=(False, 4)), 1.0, 4),
    ],
)
def test_the_nearest_value_that_there_is(declared, value, nearest):
    found = declared.nearest(value)
    assert found == nearest
    assert type(found) is type(nearest)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (DEPTHS, "2 | 3 | 5"),
        (NAMES, "plain | residual"),
        (FLOAT, "0.25 to 4"),
        (parameter(low=1e-6, high=0.1, log=True), "1e-06 to 0.1, log scale"),
    ],
)
def test_a_range_in_words(declared, words):
    assert declared.describe_range() == words


def test_a_condition_in_words():
    assert parameter(low=0, high=1, when=("optimizer.name", ("adamw", "adam"))).describe_condition() == (
        "optimizer.name = adamw | adam"
    )
    assert DEPTHS.describe_condition() == ""


SPACE = Space(
    (
        parameter(name="kind", choices=("a", "b", "c")),
        parameter(name="lr", low=0.0, high=1.0, when=("kind", ("a", "c"))),
        parameter(name="b_lr", key="lr", low=2.0, high=3.0, when=("kind", ("b",))),
        parameter(name="mode", choices=("on", "off"), when=("kind", ("b",))),
        parameter(name="rate", low=0.0, high=9.0, when=("mode", ("on",))),
    )
)


@pytest.mark.parametrize(
    ("drawn", "params", "config"),
    [
        ({"kind": "a", "lr": 0.5}, {"kind", "lr"}, {"kind": "a", "lr": 0.5}),
        ({"kind": "c", "lr": 0.5}, {"kind", "lr"}, {"kind": "c", "lr": 0.5}),
        ({"kind": "b", "b_lr": 2.5, "mode": "off"}, {"kind", "b_lr", "mode"}, {"kind": "b", "lr": 2.5, "mode": "off"}),
        (
            {"kind": "b", "b_lr": 2.5, "mode": "on", "rate": 4.0},
            {"kind", "b_lr", "mode", "rate"},
            {"kind": "b", "lr": 2.5, "mode": "on", "rate": 4.0},
        ),
    ],
)
def test_a_parameter_is_asked_for_where_it_exists_and_told_under_its_key(drawn, params, config):
    trial = optuna.trial.FixedTrial(drawn)
    assert SPACE.suggest(trial) == config
    assert set(trial.params) == params


EVERYTHING = {"kind": "b", "lr": 0.5, "b_lr": 2.5, "mode": "on", "rate": 4.0, "other": 1}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["kind", "b_lr", "mode", "rate"]),
        ({"mode": "off"}, ["kind", "b_lr", "mode"]),
        ({"kind": "a"}, ["kind", "lr"]),  # the mode that the rate depends on does not exist itself
    ],
)
def test_of_all_values_those_remain_whose_parameters_exist(changes, names):
    values = EVERYTHING | changes
    assert SPACE.existing(values) == {name: values[name] for name in names}
    del values["kind"]
    assert SPACE.existing(values) == {}


def test_the_nearest_point_is_looked_up_by_key_and_leaves_out_what_does_not_exist():
    assert SPACE.nearest({"kind": "b", "lr": 9.0, "mode": "on", "rate": -1.0}) == {
        "kind": "b",
        "b_lr": 3.0,
        "mode": "on",
        "rate": 0.0,
    }
    assert SPACE.nearest({"kind": "a", "lr": 9.0, "mode": "on", "rate": 1.0}) == {"kind": "a", "lr": 1.0}
    assert SPACE.nearest({"kind": "b", "lr": 0.0, "mode": "sideways", "rate": 1.0}) == {"kind": "b", "b_lr": 2.0}
    assert SPACE.nearest({"kind": "z", "lr": 0.5}) == {}
    assert SPACE.nearest({"kind": "c", "lr": 0}) == {"kind": "c", "lr": 0.0}  # nought is a value


@pytest.mark.parametrize("thing", [FLOAT], ids=["parameter"])
def test_a_dimension_is_fixed(thing):
    check_fixed(thing)
    assert (thing.choices, thing.log, thing.whole, thing.when, thing.key) == (None, False, False, None, None)
