from __future__ import annotations

import pytest

from search.ledger.ledger import Ledger
from search.sampling.warm_start import TAKEN_OVER, starting_points
from search.study.profiles import PROFILES
from search.study.space import Parameter, Space
from search.study.systems import system_points
from search.study.unet_space import unet_space
from tests.made.studies import begin


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


DEPTHS = Space((Parameter(name="model.depth", choices=(2, 3, 4), help=""),))


def study_of(folder, space, make_report, scores):
    """A study in that folder; returns the depth of each trial's network."""
    ledger = Ledger.create(folder)
    for number, score in enumerate(scores):
        begin(ledger, space)
        ledger.add_epoch(number, make_report(1, score))
        ledger.prune(number)
    return [record.config["model.depth"] for record in ledger.records()]


def test_points_that_come_to_the_same_here_are_one_and_take_one_place_of_the_five(make_report, tmp_path):
    """The deeper the better: the best five are all of depth 4."""
    space = Space((*DEPTHS.parameters, Parameter(name="model.dropout", low=0.0, high=0.5, help="")))
    ledger = Ledger.create(tmp_path / "other")
    for number in range(18):
        depth = begin(ledger, space).config["model.depth"]
        ledger.add_epoch(number, make_report(1, 0.1 * depth))
    depths = [record.config["model.depth"] for record in ledger.records()]
    assert depths.count(4) >= TAKEN_OVER
    assert starting_points("other", DEPTHS, tmp_path / "mine") == [{"model.depth": depth} for depth in (4, 3, 2)]


def test_a_path_is_taken_before_a_study_of_that_name_beside_the_new_one(make_report, tmp_path, monkeypatch):
    beside = study_of(tmp_path / "studies" / "other", DEPTHS, make_report, [0.1, 0.2, 0.3])
    here = study_of(tmp_path / "other", DEPTHS, make_report, [0.3, 0.2, 0.1])
    assert here == beside  # the same trials, scored the other way round
    expected = [{"model.depth": depth} for depth in here]
    (tmp_path / "elsewhere").mkdir()
    for folder, points in ((tmp_path, expected), (tmp_path / "elsewhere", expected[::-1])):
        monkeypatch.chdir(folder)
        assert starting_points("other", DEPTHS, tmp_path / "studies" / "mine") == points


def test_the_study_itself_is_refused_however_it_is_written(other, space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for origin in ("other", "./other", "mine/../other", str(tmp_path / "other")):
        with pytest.raises(ValueError, match=r"is the study itself$"):
            starting_points(origin, space, tmp_path / "other")


def test_the_systems_are_points_too(space, tmp_path):
    assert starting_points("systems", space, tmp_path / "mine") == system_points(space)


def test_a_study_without_a_score_is_told_by_what_was_given(other, space, make_report, tmp_path):
    begin(Ledger.create(tmp_path / "young"), space)
    with pytest.raises(ValueError, match=r"^--start-from young: no trial of that study has a score yet$"):
        starting_points("young", space, tmp_path / "mine")
