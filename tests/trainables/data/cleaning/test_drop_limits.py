from __future__ import annotations

import numpy as np
import pytest

from trainables.data import DataSource, prepare
from trainables.data.cleaning.drop_limits import within_limits
from trainables.data.cleaning.unusable_pairs import SHARED_MASK, Flagged
from trainables.data.description import MARS, DataDescription

CELLS = DataDescription(class_names=("nothing", "cell"), ignored_label=None)


def odd(*indices):
    return Flagged(reason="are odd", indices=indices)


def masks_with(count, *holding):
    """Masks of class 0, of which some hold class 1 as well."""
    masks = np.zeros((count, 2, 2), np.uint8)
    masks[list(holding), 0] = 1
    return masks


@pytest.mark.parametrize(("found", "dropped"), [(2, True), (3, False)])
def test_a_rule_drops_at_most_a_hundredth_of_the_images(found, dropped):
    pairs = odd(*range(found))
    expected = ([pairs], []) if dropped else ([], [pairs])
    assert within_limits([pairs], masks_with(200, *range(100, 200)), CELLS) == expected


@pytest.mark.parametrize(("holding", "dropped"), [(range(4), True), (range(3), False)])
def test_a_rule_drops_at_most_half_of_the_images_of_a_class(holding, dropped):
    """Images 0 and 1, of four or of three with a cell."""
    pairs = odd(0, 1)
    expected = ([pairs], []) if dropped else ([], [pairs])
    assert within_limits([pairs], masks_with(200, *holding), CELLS) == expected


def test_the_ignored_class_may_disappear():
    ignoring = DataDescription(class_names=("nothing", "cell", "void"), ignored_label=1)
    assert within_limits([odd(0)], masks_with(100, 0), ignoring) == ([odd(0)], [])


def test_each_rule_has_its_own_limit():
    assert within_limits([odd(5), odd(*range(50))], masks_with(100), CELLS) == ([odd(5)], [odd(*range(50))])
    assert within_limits([], masks_with(100), CELLS) == ([], [])


def test_the_competition_s_shared_masks_are_dropped_in_any_number():
    pairs = Flagged(reason=SHARED_MASK, indices=tuple(range(60)))
    masks = masks_with(100)
    assert within_limits([pairs], masks, MARS) == ([pairs], [])
    assert within_limits([pairs], masks, CELLS) == ([], [pairs])


def test_a_bright_object_does_not_disappear(tmp_path):
    """The object makes each of its images bright, and all its masks are alike: both rules find only images that show
    it."""
    rng = np.random.default_rng(1)
    images = (rng.normal(100, 10, (300, 1, 1)) + rng.normal(0, 20, (300, 16, 16))).clip(0, 255).astype(np.uint8)
    masks = np.zeros_like(images)
    images[::12, :12] = np.clip(images[::12, :12].astype(int) + 130, 0, 255)
    masks[::12, :12] = 1
    file = tmp_path / "cells.npz"
    np.savez(file, training_set=np.stack([images, masks], 1), class_names=np.array(CELLS.class_names))
    data = prepare(DataSource(uri=str(file)), cache=tmp_path / "cache")
    assert len(data.images) == 300
    assert data.present_labels == (0, 1)
    assert data.dropped == ()
    shared, bright = data.doubtful
    assert set(bright.indices) <= set(shared.indices) == set(range(0, 300, 12))
    assert len(bright.indices) > 3
    assert f"warning: kept {len(bright.indices)} images that have a mean pixel" in data.report.summary()
    assert "warning: kept 25 images that share one and the same mask" in data.report.summary()
