from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.split import grouped_split, split


@st.composite
def grouped_images(draw):
    """Pixel counts (N, C) and groups (N,) of many sizes, some of them large."""
    count = draw(st.integers(10, 200))
    shares = draw(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = rng.integers(draw(st.integers(3, 60)), size=count) // draw(st.integers(1, 4))
    groups[:3] = 1000 + np.arange(3)  # at least three
    counts = (rng.random((count, len(shares))) < shares) * rng.integers(1, 100, (count, len(shares)))
    return counts, np.unique(rng.permutation(groups), return_inverse=True)[1]


@settings(deadline=None, max_examples=100)
@given(grouped_images(), st.integers(0, 10))
def test_no_group_is_in_two_parts_and_no_image_is_lost(images, seed):
    counts, groups = images
    parts = grouped_split(counts, groups, seed)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(groups)))
    for part, indices in parts.items():
        assert np.array_equal(indices, np.sort(indices))
        assert len(indices), part
        others = np.setdiff1d(np.arange(len(groups)), indices)
        assert not np.intersect1d(groups[indices], groups[others]).size


@settings(deadline=None, max_examples=100)
@given(grouped_images(), st.integers(0, 10))
def test_the_rarest_class_is_in_every_part_if_three_groups_hold_it(images, seed):
    counts, groups = images
    total = counts.sum(axis=0)
    rarest = int(np.argmin(np.where(total > 0, total, total.max() + 1)))
    holding = counts[:, rarest] > 0
    if len(np.unique(groups[holding])) >= 3:
        for indices in grouped_split(counts, groups, seed).values():
            assert holding[indices].any()


@settings(deadline=None, max_examples=60)
@given(grouped_images(), st.integers(0, 10))
def test_groups_of_one_image_are_split_like_images(images, seed):
    counts, _ = images
    apart = grouped_split(counts, np.arange(len(counts)), seed)
    for part, indices in split(counts, seed).items():
        assert np.array_equal(apart[part], indices)


def test_many_small_groups_are_split_80_10_10():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(250), 4)
    parts = grouped_split(rng.integers(0, 2, (1000, 4)), groups, 0)
    sizes = {part: len(indices) for part, indices in parts.items()}
    assert sizes == {"train": 800, "val": 100, "test": 100}


def test_a_group_of_most_images_is_trained_on():
    groups = np.array([0] * 50 + [1, 2, 3, 4])
    parts = grouped_split(np.ones((54, 2), np.int64), groups, 0)
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 50, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("groups", "found"),
    [([0] * 12, "all images are in one group"), ([0] * 6 + [1] * 6, "the images are in 2 groups only")],
)
def test_too_few_groups_are_refused(groups, found):
    with pytest.raises(ValueError, match=rf"^{found}, .*at least 3 groups are needed; give .* or --split random$"):
        grouped_split(np.ones((12, 2), np.int64), np.array(groups), 0)
