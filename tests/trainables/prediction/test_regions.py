from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from trainables.prediction.regions import small_regions


@pytest.mark.parametrize(("smallest", "count"), [(0, 0), (1, 0), (2, 1), (3, 3), (4, 3), (5, 7), (99, 35)])
def test_what_is_a_small_region(smallest, count):
    mask = np.full((5, 7), 2)
    mask[0, 0] = 1
    mask[2, [2, 3]] = 1
    mask[4, 4] = mask[3, 5] = mask[2, 6] = mask[1, 6] = 3  # corners connect
    assert small_regions(mask, smallest).sum() == count


def found_by_opencv(labels_hw, smallest):
    small = np.zeros(labels_hw.shape, dtype=bool)
    for label in np.unique(labels_hw):
        _, numbers, boxes, _ = cv2.connectedComponentsWithStats((labels_hw == label).astype(np.uint8))
        few = boxes[:, cv2.CC_STAT_AREA] < smallest
        few[0] = False  # the background
        small |= few[numbers]
    return small


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 3)),
    st.integers(0, 40),
)
def test_opencv_finds_the_same_small_regions(mask, smallest):
    np.testing.assert_array_equal(small_regions(mask, smallest), found_by_opencv(mask, smallest))


def test_a_spiral_is_one_region():
    """It takes many rounds of joining: its rows hold many runs that only the other end connects."""
    mask = np.zeros((41, 41), np.uint8)
    row, column, length, step = 20, 20, 2, (0, 1)
    while length < 40:
        for _ in range(2):
            for _ in range(length):
                row, column = row + step[0], column + step[1]
                mask[row, column] = 1
            step = (step[1], -step[0])
        length += 2
    assert small_regions(mask, int(mask.sum())).sum() == 0
    np.testing.assert_array_equal(small_regions(mask, 10**6), np.ones_like(mask, bool))
