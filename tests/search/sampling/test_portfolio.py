from __future__ import annotations

import optuna
import pytest

from search.sampling import portfolio
from search.sampling.portfolio import PORTFOLIO, portfolio_points
from search.study.profiles import PROFILES
from search.study.settings import StudySettings
from search.study.unet_space import unet_space
from tests.made.studies import study_settings
from trainables.config import TrialConfig


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("wide", [False, True])
def test_each_is_a_point_of_every_space_as_it_stands_but_for_its_size(profile, wide):
    space = unet_space(profile, wide=wide)
    points = portfolio_points(space)
    assert len(points) == len(PORTFOLIO)
    for config, point in zip(PORTFOLIO, points, strict=True):
        for name, value in config.items():
            parameter = next(p for p in space.parameters if (p.key or p.name) == name and p.name in point)
            if name not in ("model.depth", "model.width", "training.batch_size"):
                assert point[parameter.name] == value
            else:
                assert point[parameter.name] in parameter.choices


def test_each_is_a_whole_configuration():
    settings: StudySettings = study_settings()
    for config in PORTFOLIO:
        whole = TrialConfig.from_flat(settings.whole_config(config))
        assert {name: value for name, value in whole.to_flat().items() if name in config} == config


def test_points_that_a_small_space_makes_one_are_tried_once(monkeypatch):
    one = {"model.depth": 3, "model.width": 48}
    monkeypatch.setattr(portfolio, "PORTFOLIO", (one, {**one, "model.width": 64}, {**one, "model.depth": 2}))
    points = portfolio_points(unet_space(PROFILES["cpu"]))
    assert [(point["model.depth"], point["model.width"]) for point in points] == [(3, 16), (2, 16)]


@pytest.mark.parametrize("config", PORTFOLIO)
def test_nothing_of_it_is_left_to_chance(config):
    """Every parameter that exists for it has its value."""
    space = unet_space(PROFILES["gpu"])
    point = space.nearest(TrialConfig.from_flat(config).to_flat())
    assert space.suggest(optuna.trial.FixedTrial(point))  # which raises for a parameter that the point lacks
