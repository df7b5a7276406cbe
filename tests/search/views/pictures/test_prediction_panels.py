from __future__ import annotations

import numpy as np
import pytest

from search.views.pictures.prediction_panels import GAP, READABLE, class_colours, prediction_panel, telling_images
from trainables.data import MARS, SAMPLE, DataDescription, DataSource, prepare


@pytest.mark.parametrize(
    "description", [MARS, DataDescription(class_names=("a", "b"), ignored_label=None)], ids=["ignored", "all scored"]
)
def test_every_class_has_its_own_colour(description):
    assert len(np.unique(class_colours(description), axis=0)) == description.num_classes


def test_a_row_shows_input_truth_prediction_and_errors():
    truth = np.array([[[0, 1], [2, 2]]])
    prediction = np.array([[[3, 1], [2, 1]]])
    panel = prediction_panel(np.full((1, 2, 2, 3), 127, np.uint8), truth, prediction, MARS)
    assert panel.shape == (2, 4 * 2 + 3 * GAP, 3)
    colours = class_colours(MARS)
    step = 2 + GAP
    assert (panel[:, :2] == 127).all()
    assert np.array_equal(panel[:, step : step + 2], colours[truth[0]])
    assert np.array_equal(panel[:, 2 * step : 2 * step + 2], colours[prediction[0]])
    errors = panel[:, 3 * step :]
    assert np.array_equal(errors[0, 0], colours[0])  # unlabelled: neither right nor wrong
    assert np.array_equal(errors[1, 0], errors[0, 1])  # right
    assert errors[1, 1, 0] > 2 * errors[1, 1, 1]  # wrong: red


def test_pictures_are_chosen_from_the_part_and_show_the_rarest_class():
    data = prepare(DataSource(uri=SAMPLE))
    chosen = telling_images(data, "val", count=6)
    assert set(chosen) <= set(data.split["val"])
    assert 4 <= len(chosen) == len(set(chosen)) <= 6
    for label in data.present_labels:
        assert (data.masks[chosen] == label).any()


def many_classes(count):
    return DataDescription(class_names=tuple(map(str, range(count))), ignored_label=None)


def test_classes_beyond_the_safe_colours_have_numbers_in_their_regions():
    mask = np.zeros((1, 8, 16), np.int64)
    mask[:, :, 8:] = 7
    image = np.full((*mask.shape, 3), 127, np.uint8)
    eight, nine = (prediction_panel(image, mask, mask, many_classes(count)) for count in (8, 9))
    assert eight.shape == (8, 4 * 16 + 3 * GAP, 3)  # colours alone: nothing is written or enlarged
    times = READABLE // 16
    assert nine.shape == (8 * times, 4 * READABLE + 3 * GAP, 3)
    left, right = (nine[:, READABLE + GAP :][:, start : start + 8 * times] for start in (0, 8 * times))
    for half, label in ((left, 0), (right, 7)):
        written = (half != class_colours(many_classes(9))[label]).any(axis=2)
        rows, columns = np.nonzero(written)
        assert 20 < written.sum() < 200  # a digit, in the middle of the region
        assert abs(rows.mean() - 4 * times) < times
        assert abs(columns.mean() - 4 * times) < times


def test_regions_without_room_stay_without_a_number():
    mask = np.arange(32 * 512).reshape(1, 32, 512) % 9
    panel = prediction_panel(np.full((*mask.shape, 3), 127, np.uint8), mask, mask, many_classes(9))
    assert np.array_equal(panel[:, 512 + GAP : 1024 + GAP], class_colours(many_classes(9))[mask[0]])
