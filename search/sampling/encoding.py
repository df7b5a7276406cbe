"""Encoding of a space's points as numbers, for models that predict the score of a configuration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optuna.trial import FrozenTrial

from search.study.space import Parameter, Scalar, Space

ABSENT = -1.0


class Encoding:
    """Maps points of a space to the unit cube and back, and to the features of a model.

    A point of the cube has a coordinate in [0, 1] for every parameter, including those that do not exist at this point:
    they may exist at a neighbour.

    Args:
        space: the space of the points.
    """

    def __init__(self, space: Space):
        self.parameters = space.parameters
        self._index = {parameter.name: column for column, parameter in enumerate(space.parameters)}
        self._known: dict[tuple[tuple[str, Scalar], ...], tuple[np.ndarray, np.ndarray]] = {}

    def cube(self, params: Mapping[str, Scalar]) -> np.ndarray:
        """Return the point's coordinates, (parameters,), with NaN where a parameter does not exist."""
        return np.array([_coordinate(parameter, params.get(parameter.name)) for parameter in self.parameters])

    def of_trial(self, trial: FrozenTrial) -> tuple[np.ndarray, np.ndarray]:
        """Return the cube coordinates (parameters,) and the features (features,) of an Optuna trial, cached."""
        key = tuple(trial.params.items())
        if (known := self._known.get(key)) is None:
            cube = self.cube(trial.params)
            known = self._known[key] = (cube, self.features(cube[None])[0])
        return known

    def features(self, cubes: np.ndarray) -> np.ndarray:
        """Return the features (N, features) of points (N, parameters) of the cube.

        Numbers stay as they are, each choice without an order has a column, and missing parameters are ABSENT.
        """
        exists = self._exists(cubes)
        columns = []
        for column, parameter in enumerate(self.parameters):
            coordinate, there = cubes[:, column], exists[:, column]
            if _is_nominal(parameter):
                assert parameter.choices is not None
                chosen = _choice(coordinate, len(parameter.choices))
                columns += [np.where(there, chosen == index, ABSENT) for index in range(len(parameter.choices))]
            elif parameter.choices is not None:
                count = len(parameter.choices)
                columns.append(np.where(there, _choice(coordinate, count) / (count - 1), ABSENT))
            else:
                columns.append(np.where(there, coordinate, ABSENT))
        return np.column_stack(columns)

    def point(self, cube: np.ndarray) -> dict[str, Scalar]:
        """Return the parameters that exist at a point of the cube, with their values."""
        exists = self._exists(cube[None])[0]
        return {
            parameter.name: _value(parameter, cube[column])
            for column, parameter in enumerate(self.parameters)
            if exists[column]
        }

    def neighbours(self, cube: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """Return neighbours of a point of the cube, (count, parameters).

        Coordinates of parameters that do not exist at the point are drawn at random. Of the others, each neighbour
        changes a part: it draws the probability and the size of a change from RATES and STEPS.
        """
        shape = (count, len(self.parameters))
        rate, step = random.choice(RATES, (count, 1)), random.choice(STEPS, (count, 1))
        nominal = np.array([_is_nominal(parameter) for parameter in self.parameters])
        moved = np.clip(cube + step * random.standard_normal(shape), 0.0, 1.0)
        anew = random.random(shape)
        changed = np.where(nominal, anew, moved)
        near = np.where(random.random(shape) < rate, changed, cube)
        return np.where(np.isnan(cube), anew, near)

    def _exists(self, cubes: np.ndarray) -> np.ndarray:
        exists = np.ones(cubes.shape, bool)
        for column, parameter in enumerate(self.parameters):
            if parameter.when is None:
                continue
            name, values = parameter.when
            above = self._index[name]
            choices = self.parameters[above].choices
            assert choices is not None
            allowed = np.isin(_choice(cubes[:, above], len(choices)), [choices.index(value) for value in values])
            exists[:, column] = exists[:, above] & allowed
        return exists


RATES, STEPS = (0.08, 0.15, 0.3), (0.05, 0.15, 0.3)
"""Choices for a neighbour: the probability that a coordinate changes, and the standard deviation of a change."""


def _is_nominal(parameter: Parameter) -> bool:
    """Return whether the parameter has choices without an order."""
    if parameter.choices is None:
        return False
    return len(parameter.choices) < 3 or any(isinstance(choice, str | bool) for choice in parameter.choices)


def _choice(coordinates: np.ndarray, count: int) -> np.ndarray:
    filled = np.nan_to_num(coordinates, nan=0.0)  # parameters that do not exist
    return np.minimum((filled * count).astype(int), count - 1)


def _coordinate(parameter: Parameter, value: Scalar | None) -> float:
    if value is None:
        return np.nan
    if parameter.choices is not None:
        return (parameter.choices.index(value) + 0.5) / len(parameter.choices)
    low, high, number = _scaled(parameter, float(value))
    return (number - low) / (high - low)


def _value(parameter: Parameter, coordinate: float) -> Scalar:
    if parameter.choices is not None:
        return parameter.choices[int(_choice(np.array([coordinate]), len(parameter.choices))[0])]
    assert parameter.low is not None
    assert parameter.high is not None
    low, high, _ = _scaled(parameter, parameter.low)
    number = low + float(coordinate) * (high - low)
    number = float(np.exp(number)) if parameter.log else number
    number = min(max(number, parameter.low), parameter.high)  # a rounding error may leave the range
    return round(number) if parameter.whole else number


def _scaled(parameter: Parameter, number: float) -> tuple[float, float, float]:
    """Return the ends of the parameter's range and a number in it, as logarithms for a log scale."""
    assert parameter.low is not None
    assert parameter.high is not None
    ends = (parameter.low, parameter.high, number)
    low, high, scaled = map(float, np.log(ends)) if parameter.log else ends
    return low, high, scaled
