from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trainables.data.cleaning.unusable_pairs import Flagged
from trainables.data.description import MARS
from trainables.data.npz import RawData
from trainables.data.report import DataReport, warnings_of

REPORT = DataReport(
    name="mars",
    uri="s3://b/mars.npz",
    synthetic=False,
    labelled=37,
    unlabelled=7,
    sizes="64x128",
    dropped=(),
    doubtful=(),
    doubtful_list=None,
    keep_outliers=False,
    named=True,
    class_shares={"soil": 0.98766, "rock": 0.01234},
    parts={"train": 30, "val": 4, "test": 3},
    warnings=(),
)
PARTS = {"train": np.array([0, 3]), "val": np.array([1]), "test": np.array([2])}


def test_the_summary_tells_sizes_parts_and_shares():
    assert REPORT.summary() == (
        "data: mars (s3://b/mars.npz)\n"
        "  37 labelled images of 64x128 pixels (30 train, 4 val, 3 test), 7 to predict\n"
        "  pixels: soil 98.77%, rock 1.23%"
    )


def test_the_summary_says_that_the_sample_is_no_terrain():
    first = dataclasses.replace(REPORT, synthetic=True).summary().splitlines()[0]
    assert first == "data: mars (built-in synthetic sample, not real terrain)"


def test_a_path_that_is_the_name_is_not_repeated():
    assert dataclasses.replace(REPORT, uri="mars").summary().splitlines()[0] == "data: mars"


def test_the_summary_ends_with_what_was_dropped_and_the_warnings():
    dropped = (Flagged(reason="are odd", indices=(1, 2, 3, 5, 8)), Flagged(reason="are even", indices=tuple(range(6))))
    doubtful = (Flagged(reason="are dark", indices=(4, 6)),)
    report = dataclasses.replace(
        REPORT, dropped=dropped, doubtful=doubtful, doubtful_list="/c/doubtful.txt", warnings=("one", "two")
    )
    assert report.summary().splitlines()[3:] == [
        "  dropped 5 images that are odd (indices 1, 2, 3, 5, 8)",
        "  dropped 6 images that are even (indices 0, 1, 2, 3, 4 and 1 more)",
        "  warning: kept 2 images that are dark (indices 4, 6); these are more than 1 % of the images or most of a "
        "class",
        "  to drop the images that were kept with a warning: --drop-list /c/doubtful.txt",
        "  warning: one",
        "  warning: two",
    ]
    asked = dataclasses.replace(report, keep_outliers=True).summary().splitlines()[5]
    assert asked == "  warning: kept 2 images that are dark (indices 4, 6); outliers are kept as asked"


def test_the_summary_says_that_classes_have_no_names():
    assert dataclasses.replace(REPORT, named=False).summary().splitlines()[3:] == [
        "  the file has no class_names, so its classes are called by their labels and no label is ignored: to name "
        "them, or to ignore one, save class_names and ignored_label in the file"
    ]


def warnings(counts_of_soil: list[int], counts_of_rock: list[int] | None = None) -> list[str]:
    counts = np.full((4, 5), 3)
    counts[:, 0] = 0  # no image has an unlabelled pixel: nothing to warn of
    counts[:, 1] = counts_of_soil
    if counts_of_rock:
        counts[:, 4] = counts_of_rock
    return warnings_of(MARS, counts, PARTS)


def test_a_class_with_a_pixel_in_each_part_needs_no_warning():
    assert warnings([0, 1, 1, 1]) == []


@pytest.mark.parametrize(
    ("counts", "where"),
    [
        ([1, 1, 0, 1], "test"),
        ([1, 0, 5, 0], "val"),
        ([0, 2, 2, 0], "train"),
        ([0, 0, 9, 0], "train, val"),
        ([1, 0, 0, 1], "val, test"),
    ],
)
def test_the_parts_that_a_class_is_not_in_are_named(counts, where):
    assert warnings(counts) == [f"class 1 (soil) is too rare to be in every part: none in {where}"]


def test_a_class_that_no_mask_holds_is_left_out_of_the_score():
    assert warnings([0] * 4) == ["no mask holds class 1 (soil): it is left out of the mean IoU"]


def test_each_class_has_its_own_warning_in_the_order_of_the_labels():
    assert warnings([0] * 4, [1, 0, 1, 1]) == [
        "no mask holds class 1 (soil): it is left out of the mean IoU",
        "class 4 (big rock) is too rare to be in every part: none in val",
    ]


@pytest.mark.parametrize("kind", [DataReport, Flagged, RawData])
def test_what_is_told_of_a_data_set_is_given_by_name_and_stays_as_it_is(kind):
    fields = [field.name for field in dataclasses.fields(kind)]
    with pytest.raises(TypeError):
        kind(*fields)
    value = kind(**dict.fromkeys(fields))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, fields[0], 1)
