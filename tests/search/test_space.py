from __future__ import annotations

import optuna
import pytest

from search.profiles import PROFILES
from search.space import unet_space
from trainables.augmentations import AUGMENTATIONS
from trainables.config import TrialConfig
from trainables.losses import LOSSES
from trainables.models import BLOCKS, BOTTLENECKS, SKIPS
from trainables.optimizers import OPTIMIZERS
from trainables.schedules import SCHEDULES


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_suggestion_is_a_valid_configuration_with_just_the_parameters_that_apply(profile):
    space = unet_space(profile)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(200):
        trial = study.ask()
        flat = space.suggest(trial)
        config = TrialConfig.from_flat(flat)
        assert {key: value for key, value in config.to_flat().items() if key in flat} == flat
        assert ("model.aspp_rates" in flat) == (config.model.bottleneck == "aspp")
        assert ("optimizer.momentum" in flat) == (config.optimizer.name == "sgd")
        assert ("loss.gamma" in flat) == (config.loss.name == "focal")
        assert ("loss.class_weight_exponent" in flat) == (config.loss.name == "weighted_cross_entropy")
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
def test_the_space_offers_every_entry_of_each_registry(name, registry):
    parameter = next(p for p in unet_space(PROFILES["gpu"]).parameters if p.name == name)
    assert set(parameter.choices) == set(registry)


def test_a_condition_names_an_earlier_parameter_and_values_it_can_take():
    parameters = unet_space(PROFILES["gpu"]).parameters
    for position, parameter in enumerate(parameters):
        if parameter.when:
            owner = next(p for p in parameters[:position] if p.name == parameter.when[0])
            assert set(parameter.when[1]) <= set(owner.choices)
