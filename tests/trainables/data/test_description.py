from __future__ import annotations

import dataclasses

import pytest

from trainables.data.description import MARS, DataDescription


def describe(names: str, ignored: int | None = None) -> DataDescription:
    return DataDescription(class_names=tuple(names), ignored_label=ignored)


def test_the_competitions_classes():
    assert MARS.class_names == ("background", "soil", "bedrock", "sand", "big rock")
    assert (MARS.num_classes, MARS.ignored_label, MARS.ignore_index) == (5, 0, 0)
    assert MARS.scored_labels == (1, 2, 3, 4)


@pytest.mark.parametrize(("ignored", "scored"), [(None, (0, 1, 2)), (0, (1, 2)), (1, (0, 2)), (2, (0, 1))])
def test_all_labels_but_the_ignored_one_are_scored(ignored, scored):
    assert describe("abc", ignored).scored_labels == scored


def test_the_label_to_ignore_is_one_that_no_mask_holds_where_all_count():
    assert describe("abc").ignore_index == -100
    assert describe("abc", 2).ignore_index == 2


@pytest.mark.parametrize(
    ("names", "ignored", "message"),
    [
        (("a",), None, r"^class names \['a'\]: there must be at least two, all different$"),
        ((), None, r"^class names \[\]: there must be at least two, all different$"),
        (("a", "b", "a"), None, r"^class names \['a', 'b', 'a'\]: there must be at least two, all different$"),
        (("a", "b"), 2, "^ignored label 2: must be one of 0 to 1, or absent$"),
        (("a", "b"), -1, "^ignored label -1: must be one of 0 to 1, or absent$"),
        (tuple(map(str, range(257))), None, "^257 class names: there must be at most 256$"),
    ],
)
def test_what_cannot_be_is_refused(names, ignored, message):
    with pytest.raises(ValueError, match=message):
        DataDescription(class_names=names, ignored_label=ignored)


@pytest.mark.parametrize("count", [2, 256])
def test_two_to_256_classes_are_accepted_and_any_of_them_may_be_ignored(count):
    names = tuple(map(str, range(count)))
    for ignored in (0, count - 1):
        described = DataDescription(class_names=names, ignored_label=ignored)
        assert described.num_classes == count
        assert len(described.scored_labels) == count - 1


def test_it_is_given_by_name_and_stays_as_it_is():
    with pytest.raises(TypeError):
        DataDescription(("a", "b"), 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        MARS.ignored_label = 1
