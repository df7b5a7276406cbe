"""What a neighbour changes: how many coordinates, how far, and which are drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from search.sampling import encoding as encodings
from search.sampling.encoding import Encoding
from search.study.space import Parameter, Space

COUNT = 4000
SPACE = Space(
    (
        Parameter(name="nominal", choices=("a", "b", "c"), help=""),
        Parameter(name="ordinal", choices=(1, 2, 4), help=""),
        Parameter(name="number", low=0.0, high=1.0, help=""),
        Parameter(name="absent", low=0.0, high=1.0, when=("nominal", ("c",)), help=""),
    )
)


def neighbours(cube, count=COUNT, seed=0):
    return Encoding(SPACE).neighbours(np.array(cube), count, np.random.default_rng(seed))


def is_spread_evenly(values):
    """Over [0, 1]: a tenth of the values in each tenth, within five standard deviations."""
    counts, _ = np.histogram(values, bins=10, range=(0.0, 1.0))
    return counts.sum() == len(values) and (abs(counts / len(values) - 0.1) < 1.5 / len(values) ** 0.5).all()


@pytest.fixture
def all_change(monkeypatch):
    monkeypatch.setattr(encodings, "RATES", (1.0,))


def test_names_are_drawn_anew_and_numbers_move(all_change, monkeypatch):
    monkeypatch.setattr(encodings, "STEPS", (0.05,))
    near = neighbours([0.5, 0.5, 0.5, 0.5])
    assert near.shape == (COUNT, 4)
    assert is_spread_evenly(near[:, 0])
    for column in (1, 2, 3):
        assert near[:, column].mean() == pytest.approx(0.5, abs=0.005)
        assert near[:, column].std() == pytest.approx(0.05, rel=0.06)
    moved = near[:, 1:] - 0.5
    np.testing.assert_allclose(np.corrcoef(moved.T), np.eye(3), atol=0.08)  # each for itself


def test_what_moves_beyond_an_end_stops_there(all_change, monkeypatch):
    monkeypatch.setattr(encodings, "STEPS", (0.3,))
    near = neighbours([0.5, 0.0, 1.0, 0.5])
    assert near.min() == 0.0
    assert near.max() == 1.0
    # Half of the moves lead outwards.
    assert np.mean(near[:, 1] == 0.0) == pytest.approx(0.5, abs=0.04)
    assert np.mean(near[:, 2] == 1.0) == pytest.approx(0.5, abs=0.04)


def test_what_does_not_exist_is_drawn_anew_in_each(monkeypatch):
    monkeypatch.setattr(encodings, "RATES", (0.0,))
    near = neighbours([0.5, 0.25, 0.75, np.nan])
    assert (near[:, :3] == [0.5, 0.25, 0.75]).all()
    assert is_spread_evenly(near[:, 3])


def test_each_neighbour_has_a_rate_and_a_step_of_its_own(monkeypatch):
    monkeypatch.setattr(encodings, "RATES", (0.0, 1.0))
    monkeypatch.setattr(encodings, "STEPS", (0.0, 0.01))
    changed = neighbours([0.5, 0.5, 0.5, 0.5]) != 0.5
    numbers = changed[:, 1:]
    assert (numbers == numbers[:, :1]).all()  # all of them or none: one rate and one step for the whole neighbour
    assert np.mean(changed[:, 0]) == pytest.approx(0.5, abs=0.04)
    assert np.mean(numbers[:, 0]) == pytest.approx(0.25, abs=0.04)
    assert not numbers[~changed[:, 0]].any()


def test_of_the_coordinates_one_in_six_changes():
    assert encodings.RATES == (0.08, 0.15, 0.3)
    assert encodings.STEPS == (0.05, 0.15, 0.3)
    changed = neighbours([0.5, 0.5, 0.5, 0.5]) != 0.5
    # (0.08 + 0.15 + 0.3) / 3
    assert changed.mean(0) == pytest.approx([0.177] * 4, abs=0.03)
