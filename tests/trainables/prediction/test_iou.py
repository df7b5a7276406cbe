"""Which classes count in a mean IoU, and the mean over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import from_numpy, repeat_interleave, tensor
from torchmetrics.functional.classification import multiclass_jaccard_index

from trainables.prediction.iou import class_iou, mean_iou

NAN = np.nan


def test_iou_by_hand():
    # of class 1: 6 right, 2 missed, 1 wrong; of class 2: 3 right, 1 missed, 2 wrong; class 3 is taken for once
    confusion = np.array([[0, 0, 0, 0], [0, 6, 2, 0], [0, 1, 3, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(class_iou(confusion, 0), [NAN, 6 / 9, 3 / 7, NAN])
    assert mean_iou(confusion, 0) == pytest.approx((6 / 9 + 3 / 7) / 2)


@pytest.mark.parametrize("ignored", [0, None])
def test_without_a_labelled_pixel_there_is_no_mean(ignored):
    assert np.isnan(class_iou(np.zeros((4, 4), np.int64), ignored)).all()
    assert np.isnan(mean_iou(np.zeros((4, 4), np.int64), ignored))


def test_the_ignored_class_counts_where_it_is_predicted():
    confusion = np.array([[0, 0, 0], [1, 3, 0], [0, 0, 4]])
    np.testing.assert_array_equal(class_iou(confusion, 0), [0, 0.75, 1])
    assert mean_iou(confusion, 0) == pytest.approx(1.75 / 3)
    np.testing.assert_array_equal(class_iou(confusion, None), [NAN, 0.75, 1])


def confusions(classes: int = 4) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, (classes, classes), elements=st.integers(0, 9) | st.just(0))


@settings(deadline=None, max_examples=60)
@given(confusions(), st.integers(0, 3))
def test_the_truth_alone_decides_which_classes_count(confusion, taken):
    """However the pixels are predicted."""
    other = np.zeros_like(confusion)
    other[:, taken] = confusion.sum(1)
    np.testing.assert_array_equal(np.isnan(class_iou(confusion, None)), confusion.sum(1) == 0)
    np.testing.assert_array_equal(np.isnan(class_iou(other, None)), confusion.sum(1) == 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(confusions(), min_size=1, max_size=3), st.sampled_from([None, 0, 2]))
def test_a_stack_of_matrices_is_that_of_each(matrices, ignored):
    stack = np.stack(matrices)
    if ignored is not None:
        stack[:, ignored] = 0
    np.testing.assert_array_equal(class_iou(stack, ignored), [class_iou(one, ignored) for one in stack])
    np.testing.assert_array_equal(mean_iou(stack, ignored), [mean_iou(one, ignored) for one in stack])


@settings(deadline=None, max_examples=60)
@given(confusions())
def test_it_is_the_jaccard_index_of_the_classes_that_the_truth_holds(confusion):
    cells = repeat_interleave(tensor(range(16)), from_numpy(confusion.flatten()))
    expected = multiclass_jaccard_index(cells % 4, cells // 4, 4, average="none").numpy()
    found = class_iou(confusion, None)
    held = confusion.sum(1) > 0
    np.testing.assert_allclose(found[held], expected[held], rtol=1e-6)
