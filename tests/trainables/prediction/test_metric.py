"""The metric: its values by hand, its names, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainables.data import DataDescription
from trainables.prediction.iou import mean_iou
from trainables.prediction.metric import MEAN_IOU, Metric

NAMES = ("void", "soil", "sand", "rock")
DESCRIBED = DataDescription(class_names=NAMES, ignored_label=0)
CONFUSION = np.array(
    [
        [0, 0, 0, 0],
        [0, 6, 1, 0],
        [0, 2, 3, 1],
        [0, 0, 1, 4],
    ]
)
IOU = {"soil": 6 / 9, "sand": 3 / 8, "rock": 4 / 6}
DICE = {"soil": 12 / 15, "sand": 6 / 11, "rock": 8 / 10}
counts = hnp.arrays(np.int64, (3, 4, 4), elements=st.integers(0, 5))


def score(metric, confusion=CONFUSION):
    return metric.score(confusion, NAMES, 0)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Metric.parse("mean_iou"), sum(IOU.values()) / 3),
        (Metric.parse("dice"), sum(DICE.values()) / 3),
        (Metric.parse("class_iou:rock"), IOU["rock"]),
        (Metric.parse("mean_iou", ["soil", "rock"]), (IOU["soil"] + IOU["rock"]) / 2),
        (Metric.parse("dice", ["sand"]), DICE["sand"]),
    ],
    ids=lambda value: value.title if isinstance(value, Metric) else "",
)
def test_values_by_hand(metric, expected):
    assert score(metric) == pytest.approx(expected)


@given(counts)
def test_the_default_is_the_mean_iou_bit_by_bit(confusion):
    confusion[:, 0] = 0
    np.testing.assert_array_equal(score(MEAN_IOU, confusion), mean_iou(confusion, 0))


@given(counts)
def test_dice_counts_the_same_classes_as_the_iou(confusion):
    """By its own formula, class by class."""
    confusion[:, 0] = 0
    hits, true, predicted = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(2), confusion.sum(1)
    for matrix, found in enumerate(score(Metric(measure="dice"), confusion)):
        counted = true[matrix] > 0
        counted[0] = predicted[matrix, 0] > 0
        if not counted.any():
            assert np.isnan(found)
            continue
        each = 2 * hits[matrix, counted] / (true[matrix, counted] + predicted[matrix, counted])
        assert found == pytest.approx(each.mean())


def test_a_class_that_does_not_count_is_an_error_where_it_is_predicted():
    more = CONFUSION.copy()
    more[1, 2] += 5  # soil taken for sand, which does not count
    metric = Metric.parse("class_iou:soil")
    assert score(metric, more) == pytest.approx(6 / 14)
    free = CONFUSION.copy()
    free[2, 3] += 5  # neither is soil
    assert score(metric, free) == score(metric)


def test_it_is_none_where_the_masks_hold_no_class_that_counts():
    absent = CONFUSION.copy()
    absent[3] = 0
    assert np.isnan(score(Metric.parse("class_iou:rock"), absent))
    assert score(Metric.parse("mean_iou", ["soil", "rock"]), absent) == pytest.approx(6 / 9)


@pytest.mark.parametrize(
    ("text", "classes", "title", "tag"),
    [
        ("mean_iou", None, "mean IoU", "mean_iou"),
        ("dice", None, "mean Dice", "score"),
        ("class_iou:rock", None, "IoU of rock", "score"),
        ("class_iou:a:b", None, "IoU of a:b", "score"),
        ("dice", ["rock"], "Dice of rock", "score"),
        ("mean_iou", ["soil", "rock"], "mean IoU of soil, rock", "score"),
        ("dice", ["soil", "sand", "rock"], "mean Dice of 3 classes", "score"),
        ("class_iou:" + 30 * "x" + "\x1b[1m", None, f"IoU of {24 * 'x'}...", "score"),
    ],
)
def test_names_and_the_way_back(text, classes, title, tag):
    metric = Metric.parse(text, classes)
    assert (metric.text, metric.score_classes, metric.title, metric.tag) == (text, classes, title, tag)
    assert Metric.parse(metric.text, metric.score_classes) == metric
    assert Metric.from_dict(json.loads(json.dumps(dataclasses.asdict(metric)))) == metric
    assert bool(metric.identity()) == (metric != MEAN_IOU)


def test_the_sentence_names_every_class():
    assert MEAN_IOU.sentence() == "mean IoU on the validation part"
    assert Metric.parse("dice", ["soil", "sand", "rock"]).sentence() == (
        "mean Dice of 3 classes on the validation part: soil, sand, rock"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dise", r"unknown metric, must be one of mean_iou, dice, class_iou:NAME; did you mean 'dice'\?"),
        ("mean-iou", r"did you mean 'mean_iou'\?"),
        ("class_iou", r"did you mean 'class_iou'\?"),
        ("class_iou:", r"must be one of mean_iou, dice, class_iou:NAME"),
        ("accuracy", r"must be one of mean_iou, dice, class_iou:NAME$"),
    ],
)
def test_unknown_metrics_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Metric.parse(text)


def test_a_metric_of_one_class_takes_no_other_classes():
    with pytest.raises(ValueError, match="leave out score_classes"):
        Metric.parse("class_iou:rock", ["soil"])
    with pytest.raises(ValueError, match="must be one of"):
        Metric.parse("dice", [])


class TestClassesOfTheData:
    def test_they_are_put_in_the_order_of_their_labels(self):
        checked = Metric.parse("dice", ["rock", "soil", "rock"]).check(DESCRIBED, (1, 2, 3))
        assert checked.classes == ("soil", "rock")

    def test_all_of_them_are_the_default(self):
        assert Metric.parse("mean_iou", ["rock", "sand", "soil"]).check(DESCRIBED, (1, 2, 3)) == MEAN_IOU
        assert MEAN_IOU.check(DESCRIBED, ()) == MEAN_IOU

    @pytest.mark.parametrize(
        ("metric", "message"),
        [
            (
                Metric.parse("class_iou:rokc"),
                r"^--metric class_iou:rokc: the data has no class 'rokc', its classes are soil, sand, rock; "
                r"did you mean 'rock'\?$",
            ),
            (Metric.parse("dice", ["soil", "tree"]), "^--score-classes: the data has no class 'tree'"),
            (Metric.parse("class_iou:void"), "^--metric class_iou:void: 'void' is the ignored class"),
            (
                Metric.parse("class_iou:rock"),
                "no mask of the validation part holds rock, so that no trial would have a score: score other classes",
            ),
        ],
    )
    def test_others_are_refused(self, metric, message):
        with pytest.raises(ValueError, match=message):
            metric.check(DESCRIBED, (1, 2))

    def test_one_of_them_in_the_validation_part_is_enough(self):
        assert Metric.parse("dice", ["soil", "rock"]).check(DESCRIBED, (1, 2)).classes == ("soil", "rock")
