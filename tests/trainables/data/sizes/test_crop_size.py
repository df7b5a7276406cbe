"""Which size of crops suits images of which sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.sizes.crop_size import LONGEST, proposed_crop


@pytest.mark.parametrize(
    ("sizes", "crop", "why"),
    [
        ([(64, 128)] * 3, (64, 128), "all images are 64x128, small enough to train on whole"),
        ([(1, 65536)], (1, 65536), "small enough"),
        ([(256, 256)] * 2, (256, 256), "small enough"),
        ([(257, 256)] * 2, (256, 256), "images are large"),
        ([(1024, 1024)], (256, 256), "images are large"),
        ([(200, 300), (1200, 1600), (700, 900)], (256, 256), "images differ in size"),
        ([(200, 300), (100, 150), (100, 500)], (96, 256), "images differ in size"),
        ([(20, 300), (30, 300), (31, 150)], (30, 256), "images differ in size"),
    ],
)
def test_the_proposed_size(sizes, crop, why):
    found = proposed_crop(np.array(sizes))
    assert found.size == crop
    assert found.whole == ("small enough" in found.why)
    assert why in found.why


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=9))
def test_half_of_the_images_fill_a_crop_and_it_is_never_large(sizes):
    found = proposed_crop(np.array(sizes))
    if found.whole:
        assert set(sizes) == {found.size}
        return
    for side, length in enumerate(found.size):
        assert 1 <= length <= LONGEST
        assert 2 * sum(size[side] >= length for size in sizes) >= len(sizes)
