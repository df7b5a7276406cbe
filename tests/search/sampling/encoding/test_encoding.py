from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.sampling.encoding import ABSENT, Encoding
from search.study.profiles import PROFILES
from search.study.space import Parameter, Space
from search.study.unet_space import unet_space

SPACE = unet_space(PROFILES["gpu"], wide=True)


def drawn(seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    SPACE.suggest(trial)
    return trial.params


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_a_point_comes_back_from_the_cube(seed):
    params = drawn(seed)
    back = Encoding(SPACE).point(Encoding(SPACE).cube(params))
    assert back.keys() == params.keys()
    for name, value in params.items():
        assert back[name] == (pytest.approx(value) if isinstance(value, float) else value)


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_any_point_of_the_cube_is_one_that_the_space_admits(seed):
    cube = np.random.default_rng(seed).random(len(SPACE.parameters))
    point = Encoding(SPACE).point(cube)
    assert SPACE.existing(point) == point
    study = optuna.create_study()
    study.enqueue_trial(point)
    trial = study.ask()
    SPACE.suggest(trial)
    assert trial.params == point


@given(st.integers(0, 10**6))
@settings(max_examples=5)
def test_neighbours_differ_in_some_parameters_and_share_most(seed):
    encoding, random = Encoding(SPACE), np.random.default_rng(seed)
    params = drawn(seed)
    near = encoding.neighbours(encoding.cube(params), 50, random)
    assert ((near >= 0) & (near <= 1)).all()
    points = [encoding.point(cube) for cube in near]
    shared = [np.mean([point.get(name) == params[name] for name in params]) for point in points]
    assert 0.5 < np.mean(shared) < 1
    assert len({tuple(sorted(point.items())) for point in points}) > 25


def test_features_order_numbers_split_names_and_mark_what_is_absent():
    space = Space(
        (
            Parameter(name="depth", choices=(2, 3, 5), help=""),
            Parameter(name="optimizer", choices=("adam", "sgd"), help=""),
            Parameter(name="momentum", low=0.0, high=1.0, when=("optimizer", ("sgd",)), help=""),
            Parameter(name="lr", low=1e-4, high=1e-2, log=True, help=""),
        )
    )
    encoding = Encoding(space)
    points = [
        {"depth": 2, "optimizer": "adam", "lr": 1e-4},
        {"depth": 5, "optimizer": "sgd", "momentum": 0.25, "lr": 1e-3},
    ]
    features = encoding.features(np.array([encoding.cube(point) for point in points]))
    np.testing.assert_allclose(features, [[0, 1, 0, ABSENT, 0], [1, 0, 1, 0.25, 0.5]], atol=1e-12)
