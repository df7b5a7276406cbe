from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.split import split, stratified_part


@st.composite
def pixel_counts(draw):
    images = draw(st.integers(10, 300))
    shares = draw(st.lists(st.floats(0.005, 1), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (rng.random((images, len(shares))) < shares) * rng.integers(1, 100, (images, len(shares)))


@settings(deadline=None, max_examples=60)
@given(pixel_counts(), st.integers(0, 10))
def test_the_parts_are_whole_disjoint_and_of_their_size(counts, seed):
    parts = split(counts, seed)
    assert set(parts) == {"train", "val", "test"}
    together = np.concatenate(list(parts.values()))
    assert np.array_equal(np.sort(together), np.arange(len(counts)))
    tenth = len(counts) / 10
    for part in ("val", "test"):
        # A stratum of three gives one image to each, which can be more than a tenth of it: at most one a stratum.
        assert 1 <= len(parts[part]) <= tenth + counts.shape[1] + 1
    assert len(parts["train"]) > len(counts) / 3


@settings(deadline=None, max_examples=60)
@given(pixel_counts(), st.integers(0, 10))
def test_the_rarest_class_is_in_every_part(counts, seed):
    total = counts.sum(axis=0)
    rarest = int(np.argmin(np.where(total > 0, total, total.max() + 1)))
    holding = counts[:, rarest] > 0
    if holding.sum() >= 3:
        for indices in split(counts, seed).values():
            assert holding[indices].any()


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 12), st.integers(0, 300), st.integers(0, 10))
def test_few_labelled_images_are_in_every_part_however_they_differ(labelled, others, seed):
    counts = np.zeros((max(10, labelled + others), 6), np.int64)
    counts[np.arange(labelled), np.arange(labelled) % 6] = 1  # at most two images of a class
    for indices in split(counts, seed).values():
        assert counts[indices].any()


def test_a_large_set_is_split_80_10_10():
    parts = split(np.random.default_rng(0).integers(0, 2, (1000, 4)), 0)
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 800, "val": 100, "test": 100}


def test_the_seed_decides():
    counts = np.random.default_rng(0).integers(0, 2, (100, 4))
    assert all(np.array_equal(a, b) for a, b in zip(split(counts, 1).values(), split(counts, 1).values(), strict=True))
    assert not np.array_equal(split(counts, 1)["val"], split(counts, 2)["val"])


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="9 images are too few to split 80/10/10: at least 10 are needed"):
        split(np.ones((9, 2)), 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(0.01, 1), st.integers(0, 5))
def test_a_part_keeps_every_class_and_the_share_of_rare_images_and_grows_with_its_fraction(
    count, shares, fraction, seed
):
    indices = np.arange(count) * 3
    holds = np.random.default_rng(seed).random((count, len(shares))) < shares
    rare = holds[:, 0]
    part = stratified_part(indices, holds, rare, fraction, seed)
    chosen = np.isin(indices, part)
    assert len(part) >= 1
    assert set(part) <= set(indices)
    assert (np.diff(part) > 0).all()
    np.testing.assert_array_equal(holds[chosen].any(0), holds.any(0))
    assert -1 <= len(part) - fraction * count <= 1 + len(shares)
    assert -1 <= rare[chosen].sum() - fraction * rare.sum() <= 1 + len(shares)
    assert set(part) <= set(stratified_part(indices, holds, rare, min(1.0, 1.5 * fraction), seed)) or not holds.any()
    np.testing.assert_array_equal(stratified_part(indices, holds, rare, 1.0, seed), indices)


def test_images_are_added_only_for_classes_that_would_be_lost():
    indices, rare = np.arange(100), np.arange(100) < 20
    common = np.ones((100, 1), bool)
    plain = stratified_part(indices, common, rare, 0.1, 0)
    assert len(plain) == 10
    held = np.isin(indices, plain[:1])  # a class of one image, which is chosen anyway
    np.testing.assert_array_equal(stratified_part(indices, np.stack([common[:, 0], held], 1), rare, 0.1, 0), plain)
    other = np.setdiff1d(indices, plain)[:1]
    lost = np.isin(indices, other)
    added = stratified_part(indices, np.stack([common[:, 0], lost], 1), rare, 0.1, 0)
    np.testing.assert_array_equal(added, np.union1d(plain, other))
