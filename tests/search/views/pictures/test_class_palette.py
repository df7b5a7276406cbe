from __future__ import annotations

import itertools

import numpy as np
import pytest

from search.views.pictures.class_palette import SAFE, palette

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009,
# table 1, severity 1.0: linear RGB as the reader sees it.
SEEN_BY = {
    "normal": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
DISTINCT = 15
"""CIE76 difference of two colours that are easily told apart; about 2.3 is just noticeable."""
UNLABELLED = (60, 60, 60)


def lab(rgb, seen):
    """CIE L*a*b* of an sRGB colour for a reader."""
    value = np.asarray(rgb) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(seen) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = (np.cbrt(part) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("reader", SEEN_BY)
def test_the_first_eight_differ_for_every_reader(reader):
    colours = [lab(colour, SEEN_BY[reader]) for colour in [*SAFE, UNLABELLED]]
    assert len(SAFE) == 8
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(colours, 2)) > DISTINCT


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 17, 20, 100, 255, 256])
def test_all_colours_differ_and_begin_with_the_safe_ones(count):
    colours = palette(count)
    assert colours.shape == (count, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == count
    assert np.array_equal(colours[:8], SAFE[:count])
