from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest

from reports.output import class_figures, trial_figures
from reports.output.class_figures import (
    MOST_IN_THE_MATRIX,
    MOST_LETTERS,
    class_bars,
    confusion_matrix,
    legend,
    matrix_caption,
    matrix_labels,
)
from reports.output.trial_figures import CURVE_COLOURS, MOST_CURVES, curves_caption, learning_curves, score_over_trials
from tests.made.records import trial_record
from trainables.data import DataDescription
from trainables.prediction.metric import MEAN_IOU


def facts_of(names, **data):
    described = DataDescription(class_names=tuple(names), ignored_label=None)
    return SimpleNamespace(data=SimpleNamespace(description=described, present_labels=described.scored_labels, **data))


def texts(figure):
    """The texts of an SVG, which must be well-formed."""
    return [
        "".join(found.itertext()).strip() for found in ET.fromstring(figure).iter("{http://www.w3.org/2000/svg}text")
    ]


NAMES = [
    "a$_$",
    "$b_{$",
    "c[bold]",
    "x^2 $5",
    "<script>",
    "]]>&\"'",
    "砂 ß",
    "a\x0bb",
    "a\ud800b",
    "a\ud801b",
    "l" * 300,
]


def test_class_names_of_any_kind_appear():
    facts = facts_of(NAMES)
    shown = list(class_figures.figure_names(facts).values())
    assert shown[:7] == NAMES[:7]
    assert max(map(len, shown)) == MOST_LETTERS
    bars, matrix = (
        class_bars(facts, {"validation": dict.fromkeys(NAMES, 0.5), "test": {}}),
        confusion_matrix(facts, np.eye(11)),
    )
    assert set(shown) <= set(texts(bars))
    assert [texts(matrix).count(name) for name in shown] == [2] * len(NAMES)


def placed(monkeypatch, draw):
    """Draw with a renderer, and return the boxes of all tick labels by axis."""
    boxes = []

    def measure(figure, label):
        figure.draw_without_rendering()
        for axes in figure.axes:
            boxes.append([text.get_window_extent() for text in axes.get_yticklabels() if text.get_text()])
            if axes.images:
                boxes.append([text.get_window_extent() for text in axes.get_xticklabels() if text.get_text()])
        return ""

    monkeypatch.setattr(class_figures, "svg", measure)
    draw()
    return boxes


@pytest.mark.parametrize(
    ("count", "letters"), [(2, 24), (4, 8), (7, 3), (12, 24), (13, 3), (20, 24), (40, 24), (65, 3), (256, 24)]
)
def test_no_names_overlap(monkeypatch, count, letters):
    facts = facts_of([f"{number:a>{letters}}" for number in range(count)])
    values = dict.fromkeys(facts.data.description.class_names, 0.5)
    bars = placed(monkeypatch, lambda: class_bars(facts, {"validation": values, "held-out test": values}))
    matrix = placed(monkeypatch, lambda: confusion_matrix(facts, np.eye(count)))
    assert sum(map(len, bars)) == count
    assert [len(labels) for labels in matrix] == [min(count, MOST_IN_THE_MATRIX)] * 2
    for labels in [*bars, *matrix]:
        for one, other in itertools.pairwise(labels):
            assert not one.overlaps(other)


def test_of_many_classes_the_matrix_shows_those_that_are_confused_most():
    facts = facts_of([f"class {number}" for number in range(50)])
    confusion = np.diag(np.full(50, 1000))
    confusion[7, 49], confusion[3, 12] = 5, 5
    labels = matrix_labels(facts, confusion)
    assert {3, 7, 12, 49} <= set(labels)
    assert labels == sorted(labels)
    assert "Of the 50 classes, the 40 that are confused most are shown." in matrix_caption(facts, confusion)
    assert matrix_caption(facts_of(["a", "b"]), np.eye(2)).endswith("each true class.")


def test_the_legend_has_the_classes_of_the_pictures_and_their_numbers_if_these_are_written():
    masks = np.array([[[0, 2]], [[1, 1]]])
    few, many = (facts_of([f"k{number}" for number in range(count)], masks=masks) for count in (8, 9))
    shown = np.array([0]), np.array([[[2, 4]]])
    assert [name for name, _ in legend(few, *shown)] == ["k0", "k2", "k4"]
    assert [name for name, _ in legend(many, *shown)] == ["0 k0", "2 k2", "4 k4"]


def study_of(trials, epochs, state="complete"):
    scores = np.random.default_rng(0).random((trials, epochs)).cumsum(axis=1) / epochs
    return SimpleNamespace(
        metric=MEAN_IOU, records=[trial_record(n, scores[n].tolist(), state=state) for n in range(trials)]
    )


@pytest.mark.parametrize(("trials", "epochs"), [(300, 100), (2_000, 3)])
def test_figures_of_many_trials_stay_small(trials, epochs):
    facts = study_of(trials, epochs)
    for draw in (score_over_trials, learning_curves):
        figure = draw(facts)
        texts(figure)
        assert len(figure) < 500_000
        assert len(re.findall("<use|<path", figure)) < 500


def test_few_trials_are_drawn_as_shapes():
    assert "<image" not in score_over_trials(study_of(50, 4)) + learning_curves(study_of(50, 4))
    assert "all others are grey" in curves_caption(study_of(50, 4))


def test_of_many_trials_some_of_each_rank_are_drawn():
    facts = study_of(2_000, 3)
    best, others = trial_figures.drawn_curves(facts)
    assert len(best) == len(CURVE_COLOURS)
    assert MOST_CURVES // 2 < len(others) <= MOST_CURVES
    ranks = sorted(-record.score for record in facts.records)
    places = [ranks.index(-record.score) for record in others]
    assert len(set(np.diff(places))) == 1
    assert "Of the 1,995 others, 285 are drawn" in curves_caption(facts)


def test_a_trial_with_one_epoch_is_seen_and_one_that_diverged_has_no_gap():
    facts = study_of(7, 1)
    assert learning_curves(facts).count("<use") >= 7
    assert trial_figures._curve(trial_record(0, [0.1, None, 0.3])) == [(1, 0.1), (3, 0.3)]


def test_a_state_without_a_colour_of_its_own_is_drawn():
    assert "interrupted (3)" in texts(score_over_trials(study_of(3, 2, state="interrupted")))
