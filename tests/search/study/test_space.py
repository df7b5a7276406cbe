from __future__ import annotations

import optuna
import pytest

from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from trainables.augmentation.transforms import AUGMENTATIONS
from trainables.config import TrialConfig
from trainables.losses import LOSSES
from trainables.models import BLOCKS, BOTTLENECKS, SKIPS
from trainables.optim.optimizers import OPTIMIZERS
from trainables.optim.schedules import SCHEDULES

SPACES = [unet_space(profile, wide=wide) for profile in PROFILES.values() for wide in (False, True)]


@pytest.mark.parametrize("space", SPACES, ids=["gpu", "gpu-wide", "cpu", "cpu-wide"])
def test_every_suggestion_is_a_valid_configuration_with_just_the_parameters_that_apply(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):  # by then each parameter was there
        trial = study.ask()
        flat = space.suggest(trial)
        config = TrialConfig.from_flat(flat)
        assert {key: value for key, value in config.to_flat().items() if key in flat} == flat
        assert ("model.aspp_rates" in flat) == (config.model.bottleneck == "aspp")
        assert ("optimizer.momentum" in flat) == (config.optimizer.name == "sgd")
        assert ("loss.gamma" in flat) == ("focal" in config.loss.name)
        assert ("loss.alpha" in flat) == ("tversky" in config.loss.name)
        assert ("loss.class_weight_exponent" in flat) == (config.loss.name == "weighted_cross_entropy")
        assert ("second_stage.lr" in flat) == (config.second_stage.name != "none")
        seen |= set(trial.params)
    assert seen == {parameter.name for parameter in space.parameters}


def test_asked_again_a_trial_gives_the_same_values():
    space = unet_space(PROFILES["cpu"])
    trial = optuna.create_study().ask()
    assert space.suggest(trial) == space.suggest(trial)


@pytest.mark.parametrize(
    ("name", "registry"),
    [
        ("model.block", BLOCKS),
        ("model.skip", SKIPS),
        ("model.bottleneck", BOTTLENECKS),
        ("loss.name", LOSSES),
        ("optimizer.name", OPTIMIZERS),
        ("schedule.name", SCHEDULES),
        ("augmentation.name", AUGMENTATIONS),
    ],
)
def test_the_wide_space_offers_every_entry_of_each_registry(name, registry):
    parameter = next(p for p in unet_space(PROFILES["gpu"], wide=True).parameters if p.name == name)
    assert {part for choice in parameter.choices for part in choice.split("+")} == set(registry)


def test_the_wide_space_only_adds_to_the_default_one():
    default, wide = (unet_space(PROFILES["gpu"], wide=wide).parameters for wide in (False, True))
    by_name = {parameter.name: parameter for parameter in wide}
    for parameter in default:
        assert set(parameter.choices or ()) <= set(by_name[parameter.name].choices or ())


def test_the_nearest_point_of_a_configuration():
    space = unet_space(PROFILES["cpu"])
    point = space.nearest(
        {
            "model.depth": 5,
            "model.width": 64,
            "model.bottleneck": "plain",
            "model.aspp_rates": "1-2-4",
            "loss.name": "dice",
            "optimizer.name": "sgd",
            "optimizer.lr": 1.0,
            "model.dropout": 0.2,
        }
    )
    assert point == {
        "model.depth": 4,
        "model.width": 16,
        "model.bottleneck": "plain",
        "model.dropout": 0.2,
        "optimizer.name": "sgd",
        "optimizer.sgd_lr": 0.3,
    }


@pytest.mark.parametrize("space", SPACES[:2], ids=["default", "wide"])
def test_a_condition_names_an_earlier_parameter_and_values_it_can_take(space):
    parameters = space.parameters
    for position, parameter in enumerate(parameters):
        if parameter.when:
            owner = next(p for p in parameters[:position] if p.name == parameter.when[0])
            assert set(parameter.when[1]) <= set(owner.choices)


def test_of_values_for_all_parameters_those_that_exist_are_taken():
    space = unet_space(PROFILES["cpu"])
    values = {"optimizer.name": "sgd", "optimizer.lr": 1e-3, "optimizer.sgd_lr": 0.1, "optimizer.momentum": 0.9, "x": 1}
    assert space.existing(values) == {"optimizer.name": "sgd", "optimizer.sgd_lr": 0.1, "optimizer.momentum": 0.9}
