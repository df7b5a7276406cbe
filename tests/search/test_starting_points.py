from __future__ import annotations

import pytest

from search.ledger import Ledger
from search.profiles import PROFILES
from search.space import unet_space
from search.starting_points import TAKEN_OVER, starting_points
from tests.studies import begin


@pytest.fixture
def other(space, make_report, tmp_path):
    """Another study of the same space: the later a trial, the better it is."""
    ledger = Ledger.create(tmp_path / "other")
    for number in range(8):
        begin(ledger, space)
        ledger.add_epoch(number, make_report(1, 0.1 * number))
        ledger.prune(number)
    return ledger


@pytest.mark.parametrize("by_name", [False, True])
def test_the_best_of_another_study_come_first(by_name, other, space, tmp_path):
    points = starting_points("other" if by_name else str(tmp_path / "other"), space, tmp_path / "mine")
    assert points == [other.record(number).params for number in (7, 6, 5, 4, 3)]
    assert len(points) == TAKEN_OVER


def test_what_this_space_lacks_becomes_the_nearest_that_it_has(other, tmp_path):
    space = unet_space(PROFILES["gpu"])
    points = starting_points(str(tmp_path / "other"), space, tmp_path / "mine")
    assert {point["model.width"] for point in points} == {16}
    assert points[0]["loss.name"] == other.record(7).params["loss.name"]


def test_what_cannot_be_learned_from_is_refused(ledger, other, space, tmp_path):
    cases = {"gone": "gone: no study there", "study": "no trial of that study has a score", "other": "the study itself"}
    for name, message in cases.items():
        with pytest.raises(ValueError, match=f"--start-from .*{message}"):
            starting_points(str(tmp_path / name), space, tmp_path / "other")
