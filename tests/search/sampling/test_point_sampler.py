from __future__ import annotations

import optuna
import pytest
from scipy.stats import qmc

from search.sampling.encoding import Encoding
from search.sampling.point_sampler import Draw, PointSampler, SobolSampler
from search.study.space import Parameter, Space

SPACE = Space(
    (
        Parameter(name="kind", choices=("a", "b"), help=""),
        Parameter(name="x", low=0.0, high=1.0, help=""),
        Parameter(name="y", low=0.0, high=1.0, when=("kind", ("b",)), help=""),
    )
)


def draw(**changes):
    values = {"seed": 5, "study_seed": 7, "number": 3, "encoding": Encoding(SPACE), "max_epochs": 9}
    return Draw(**values | changes)


class Fixed(PointSampler):
    """Always the same point, or a part of one."""

    def __init__(self, draw, point):
        super().__init__(draw)
        self.point, self.told = point, []

    def choose(self, trials):
        self.told.append([trial.number for trial in trials])
        return self.point


def drawn(sampler, space=SPACE):
    trial = optuna.create_study(sampler=sampler).ask()
    space.suggest(trial)
    return trial.params


def test_the_chosen_point_is_what_is_suggested():
    point = {"kind": "b", "x": 0.25, "y": 0.75}
    assert drawn(Fixed(draw(), point)) == point


def test_what_the_choice_leaves_out_is_drawn_at_random_from_the_proposal_s_own_seed():
    rest = Space(SPACE.parameters[1:2])
    expected = drawn(optuna.samplers.RandomSampler(seed=5), rest)
    assert drawn(Fixed(draw(seed=5), {"kind": "a"})) == {"kind": "a", **expected}
    assert drawn(Fixed(draw(seed=6), {"kind": "a"})) != {"kind": "a", **expected}


def test_what_is_chosen_without_existing_is_left_out():
    assert drawn(Fixed(draw(), {"kind": "a", "x": 0.25, "y": 0.75})) == {"kind": "a", "x": 0.25}


def test_each_choice_is_made_from_the_trials_so_far():
    sampler = Fixed(draw(), {"kind": "a"})
    study = optuna.create_study(sampler=sampler)
    for _ in range(3):
        study.ask()
    assert [told[:-1] for told in sampler.told] == [[], [0], [0, 1]]  # the last of each is the one to be drawn
    assert all(told[-1] == place for place, told in enumerate(sampler.told))


def test_a_point_sampler_must_say_how_it_chooses():
    with pytest.raises(NotImplementedError):
        PointSampler(draw()).choose([])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7, 8])
def test_the_number_of_the_trial_is_its_place_in_the_study_s_sobol_sequence(number):
    cube = qmc.Sobol(3, rng=7).random(16)[number]
    expected = Encoding(SPACE).point(cube)
    for seed in (5, 6):
        assert SobolSampler(draw(number=number, seed=seed)).choose([]) == expected
    assert SobolSampler(draw(number=number, study_seed=8)).choose([]) != expected
    assert drawn(SobolSampler(draw(number=number))) == expected
