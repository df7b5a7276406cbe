"""What shows classes, for as few and as many as there may be: colours up to 8 classes, colours and labels beyond."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reports.output.class_figures import (
    MOST_IN_THE_MATRIX,
    class_bars,
    confusion_matrix,
    examples,
    legend,
    matrix_labels,
)
from reports.predicted_masks import encoded
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.views.pictures.prediction_panels import class_colours, needs_numbers, prediction_panel
from search.views.tensorboard_log import TensorBoardLogger
from tests.made.records import trial_record
from tests.processes.loops import epoch_report
from trainables.data import DataDescription
from trainables.data.pixel_format import plain_format

SIZE = (2, 32, 48)


@pytest.fixture(params=[2, 9, 30, 256])
def count(request):
    return request.param


@pytest.fixture(params=[None, 0], ids=["all scored", "one ignored"])
def described(request, count):
    names = tuple(f"class {label}" for label in range(count))
    return DataDescription(class_names=names, ignored_label=request.param)


@pytest.fixture
def labels(count):
    labels = np.random.default_rng(0).integers(0, count, (2, 8, 12)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    labels.ravel()[:count] = np.arange(count)
    return labels


def test_every_class_has_a_colour_and_beyond_eight_a_label(described, count, labels):
    colours = class_colours(described)
    assert len(np.unique(colours, axis=0)) == count
    assert needs_numbers(described) == (len(described.scored_labels) > 8)
    pictures = np.zeros((*SIZE, 3), np.uint8)
    panel = prediction_panel(pictures, labels, labels[::-1], described)
    assert panel.dtype == np.uint8
    assert panel.shape[1] > 4 * SIZE[2]


def test_masks_hold_the_labels_and_their_colours(described, labels):
    picture = Image.open(io.BytesIO(encoded(labels[0], described)))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), labels[0])
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), class_colours(described)[labels[0]])


def test_figures_name_them(described, count, labels):
    data = SimpleNamespace(
        description=described,
        present_labels=described.scored_labels,
        images=np.zeros(SIZE, np.uint8),
        masks=labels,
        pixels=plain_format(np.dtype(np.uint8)),
    )
    facts = SimpleNamespace(data=data)
    names = [described.class_names[label] for label in described.scored_labels]
    confusion = np.random.default_rng(0).integers(1, 9, (count, count))
    texts = [
        [found.text for found in ET.fromstring(figure).iter("{http://www.w3.org/2000/svg}text")]
        for figure in (class_bars(facts, {"test": dict.fromkeys(names, 0.5)}), confusion_matrix(facts, confusion))
    ]
    assert set(names) <= set(texts[0])
    assert {described.class_names[label] for label in matrix_labels(facts, confusion)} <= set(texts[1])
    assert len(matrix_labels(facts, confusion)) == min(len(names), MOST_IN_THE_MATRIX)
    named = [name for name, _ in legend(facts, np.arange(2), labels)]
    assert len(named) == count
    assert all(name.split()[0].isdigit() for name in named) == needs_numbers(described)
    assert examples(facts, np.arange(2), labels).startswith("data:image/png;base64,")


def test_tensorboard_has_the_score_of_each_class_and_the_picture(described, labels, tmp_path):
    names = [described.class_names[label] for label in described.scored_labels]
    picture = prediction_panel(np.zeros((*SIZE, 3), np.uint8), labels, labels, described)
    board = TensorBoardLogger(tmp_path, unet_space(PROFILES["cpu"]), names, lambda record: picture)
    report = epoch_report(1, class_iou=dict.fromkeys(names, 0.5), ended="max_epochs")
    board.trial_started(trial_record(0, reports=(), state="running"))
    board.epoch_ended(trial_record(0, reports=(report,), state="running"), report)
    board.trial_ended(trial_record(0, reports=(report,), state="complete"))
    (folder,) = (tmp_path / "trials").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert {f"iou/{name}" for name in names} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["input, truth, prediction, errors"]
