from __future__ import annotations

import dataclasses
import json

import pytest
from optuna.distributions import CategoricalDistribution

from search.study.profiles import PROFILES
from search.study.space import Parameter, Space
from search.study.space_record import check_same_space, described
from search.study.unet_space import unet_space

PARAMETERS = (
    Parameter(name="loss", choices=("ce", "focal"), help=""),
    Parameter(name="gamma", low=0.5, high=4.0, when=("loss", ("focal",)), help=""),
    Parameter(name="steps", low=1, high=9, whole=True, log=True, key="training.steps", help=""),
)
SPACE = Space(PARAMETERS)
RECORDED = json.loads(json.dumps(described(SPACE)))


def changed(name, **changes):
    return Space(tuple(dataclasses.replace(p, **changes) if p.name == name else p for p in PARAMETERS))


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("wide", [False, True])
def test_every_space_is_the_same_after_json(profile, wide):
    space = unet_space(PROFILES[profile], wide=wide)
    check_same_space(space, json.loads(json.dumps(described(space))), "s")


def test_a_space_is_recorded_with_all_that_its_values_depend_on():
    assert RECORDED == {
        "loss": {"choices": ["ce", "focal"]},
        "gamma": {"low": 0.5, "high": 4.0, "log": False, "whole": False, "when": ["loss", ["focal"]]},
        "steps": {"low": 1, "high": 9, "log": True, "whole": True, "key": "training.steps"},
    }


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (changed("loss", choices=("ce", "focal", "dice")), "loss was ce | focal, is now ce | focal | dice"),
        (changed("loss", choices=("focal", "ce")), "loss was ce | focal, is now focal | ce"),
        (changed("gamma", high=5.0), "gamma was 0.5 to 4 [loss = focal], is now 0.5 to 5 [loss = focal]"),
        (changed("gamma", low=0.25), "gamma was 0.5 to 4 [loss = focal], is now 0.25 to 4 [loss = focal]"),
        (changed("gamma", log=True), "is now 0.5 to 4, log scale [loss = focal]"),
        (changed("gamma", when=None), "gamma was 0.5 to 4 [loss = focal], is now 0.5 to 4)"),
        (changed("gamma", when=("loss", ("ce", "focal"))), "is now 0.5 to 4 [loss = ce | focal]"),
        (changed("steps", whole=False), "steps was 1 to 9, log scale (whole numbers) as training.steps, is now"),
        (changed("steps", key=None), "is now 1 to 9, log scale (whole numbers))"),
        (Space(PARAMETERS[:2]), "(steps is gone)"),
        (Space((*PARAMETERS, Parameter(name="width", choices=(8, 16), help=""))), "(width is new)"),
        (Space((*PARAMETERS[1:], Parameter(name="w", choices=(8,), help=""))), "(loss is gone; w is new)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_space_is_refused_with_its_parameters(space, text):
    with pytest.raises(ValueError) as refused:
        check_same_space(space, RECORDED, "mars")
    assert str(refused.value).startswith("study 'mars' exists with another space (")
    assert text in str(refused.value)
    assert str(refused.value).endswith("): continue it with the code that began it, or give another --name")


def test_what_says_nothing_of_the_values_may_change():
    check_same_space(changed("loss", help="better words"), RECORDED, "s")
    check_same_space(Space(PARAMETERS[::-1]), RECORDED, "s")


def test_a_study_that_recorded_no_space_goes_on():
    check_same_space(SPACE, {}, "s")


@pytest.mark.parametrize(
    "recorded", [{"kind": "other"}, 3, None, {"choices": 3}, {"low": "x", "high": 1, "log": False}]
)
def test_what_another_version_recorded_is_shown_as_it_is(recorded):
    with pytest.raises(ValueError, match=r"loss was .*, is now ce"):
        check_same_space(SPACE, RECORDED | {"loss": recorded}, "s")


def test_a_difference_is_one_that_a_sampler_of_optuna_would_not_take():
    """It reads a study's trials as points of one space, in the order of its choices too."""
    assert CategoricalDistribution(("ce", "focal")) != CategoricalDistribution(("focal", "ce"))
