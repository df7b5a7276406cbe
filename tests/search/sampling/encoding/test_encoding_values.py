"""Coordinates of single parameters: where the borders between two values are, and that each value comes back."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest

from search.sampling.encoding import ABSENT, Encoding
from search.study.space import Parameter, Space

CONDITIONAL = Space(
    (
        Parameter(name="head", choices=("none", "one", "two"), help=""),
        Parameter(name="kind", choices=("a", "b"), when=("head", ("one", "two")), help=""),
        Parameter(name="size", choices=(1, 2, 4), when=("kind", ("b",)), help=""),
        Parameter(name="rate", low=2.0, high=4.0, when=("kind", ("a",)), help=""),
    )
)


def one(**options):
    return Encoding(Space((Parameter(name="x", help="", **options),)))


def value(encoding, coordinate):
    return encoding.point(np.array([coordinate]))["x"]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(1, 64), (7, 40), (2, 3)])
def test_each_whole_number_of_a_range_comes_back(low, high, log):
    encoding = one(low=low, high=high, log=log, whole=True)
    numbers = range(low, high + 1)
    back = [value(encoding, encoding.cube({"x": number})[0]) for number in numbers]
    assert back == list(numbers)
    assert {type(number) for number in back} == {int}


@pytest.mark.parametrize(
    ("coordinate", "expected"), [(0.0, 1), (0.16, 1), (0.17, 2), (0.49, 2), (0.51, 3), (0.83, 3), (0.84, 4), (1.0, 4)]
)
def test_halfway_between_two_whole_numbers_the_next_one_begins(coordinate, expected):
    assert value(one(low=1, high=4, whole=True), coordinate) == expected  # 1 + 3 * coordinate, rounded


@pytest.mark.parametrize(("coordinate", "expected"), [(0.0, 1), (0.19, 1), (0.2, 2), (0.79, 5), (0.82, 6), (1.0, 8)])
def test_halfway_between_two_whole_numbers_of_a_log_scale_the_next_one_begins(coordinate, expected):
    assert value(one(low=1, high=8, whole=True, log=True), coordinate) == expected  # 8 ** coordinate, rounded


@pytest.mark.parametrize(
    ("coordinate", "expected"), [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.66, "b"), (0.67, "c"), (1.0, "c")]
)
def test_choices_share_the_range_alike_and_the_last_has_its_end(coordinate, expected):
    assert value(one(choices=("a", "b", "c")), coordinate) == expected


def test_at_a_border_the_next_choice_begins():
    assert [value(one(choices=(1, 2, 3, 4)), coordinate) for coordinate in (0.25, 0.5, 0.75)] == [2, 3, 4]


def test_coordinates_of_choices_are_in_the_middle_of_their_share():
    encoding = one(choices=(8, 16, 32, 64))
    assert [encoding.cube({"x": choice})[0] for choice in (8, 16, 32, 64)] == [0.125, 0.375, 0.625, 0.875]


def test_numbers_are_spread_over_their_range_or_over_its_logarithm():
    assert one(low=2.0, high=6.0).cube({"x": 3.0}) == pytest.approx([0.25])
    assert one(low=1e-4, high=1.0, log=True).cube({"x": 0.1}) == pytest.approx([0.75])
    assert value(one(low=2.0, high=6.0), 0.25) == pytest.approx(3.0)
    assert value(one(low=1e-4, high=1.0, log=True), 0.75) == pytest.approx(0.1)
    assert type(value(one(low=2.0, high=6.0), np.float64(0.25))) is float


def test_the_ends_of_a_log_scale_come_back_exactly():
    """Though the exponential of a logarithm may lie a rounding error outside."""
    above = next(number / 1000 for number in range(1, 1000) if math.exp(math.log(number / 1000)) > number / 1000)
    below = next(number / 1000 for number in range(1, 1000) if math.exp(math.log(number / 1000)) < number / 1000)
    assert value(one(low=above / 10, high=above, log=True), 1.0) == above
    assert value(one(low=below, high=below * 10, log=True), 0.0) == below


def test_what_does_not_exist_has_no_coordinate():
    encoding = Encoding(CONDITIONAL)
    np.testing.assert_array_equal(encoding.cube({"head": "none"}), [1 / 6, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(
        encoding.cube({"head": "two", "kind": "a", "rate": 3.5}), [5 / 6, 0.25, np.nan, 0.75], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("cube", "point"),
    [
        ([0.1, 0.9, 0.9, 0.5], {"head": "none"}),  # what depends on "kind" is gone with it
        ([0.4, 0.1, 0.9, 0.5], {"head": "one", "kind": "a", "rate": 3.0}),
        ([0.9, 0.9, 0.9, 0.5], {"head": "two", "kind": "b", "size": 4}),
        ([0.9, 0.9, 0.5, 0.5], {"head": "two", "kind": "b", "size": 2}),
    ],
)
def test_conditions_decide_along_the_chain_what_exists(cube, point):
    assert Encoding(CONDITIONAL).point(np.array(cube)) == point


def test_features_of_a_chain_of_conditions():
    cubes = np.array([[0.1, 0.9, 0.9, 0.5], [0.4, 0.1, 0.9, 0.5], [0.9, 0.9, 0.5, 0.25], [0.9, np.nan, 0.5, 0.25]])
    # "head" and "kind" a column each choice; "size" is in order, so it is one; "rate" as it is.
    np.testing.assert_array_equal(
        Encoding(CONDITIONAL).features(cubes),
        [
            [1, 0, 0, ABSENT, ABSENT, ABSENT, ABSENT],
            [0, 1, 0, 1, 0, ABSENT, 0.5],
            [0, 0, 1, 0, 1, 0.5, ABSENT],
            [0, 0, 1, 1, 0, ABSENT, 0.25],
        ],
    )
    assert ABSENT == -1


@pytest.mark.parametrize(
    ("choices", "columns"),
    [((0.0, 0.5), 2), ((1, 4, 12), 1), ((False, True), 2), (("1", "2", "4"), 3), ((0, 1, 2, "many"), 4)],
)
def test_only_three_numbers_or_more_are_in_order(choices, columns):
    encoding = one(choices=choices)
    assert encoding.features(np.array([[0.5]])).shape == (1, columns)


def test_a_trial_is_encoded_once():
    study = optuna.create_study()
    encoding, trials = Encoding(CONDITIONAL), []
    for point in ({"head": "one", "kind": "a", "rate": 3.0}, {"head": "none"}):
        study.enqueue_trial(point)
        CONDITIONAL.suggest(study.ask())
        trials.append(study.trials[-1])
    (first, features), (second, _) = map(encoding.of_trial, trials)
    np.testing.assert_array_equal(first, [0.5, 0.25, np.nan, 0.5])
    np.testing.assert_array_equal(features, [0, 1, 0, 1, 0, ABSENT, 0.5])
    np.testing.assert_array_equal(second, [1 / 6, np.nan, np.nan, np.nan])
    assert encoding.of_trial(trials[0])[0] is first
