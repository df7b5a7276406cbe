"""Mixing whose draws a test states: which pixels and labels come from where."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.made.numbered import HandMade
from trainables.augmentation.mixing import Mixing, build_mixing
from trainables.augmentation.transforms import AugmentationConfig

SIZE = (8, 12)
PASTE = [1, 0, 0, 0.9, 0.5, 0, 0]
"""Draws of one pasted region: the only one of the only image, not mirrored, of its size, in the corner."""


class Draws:
    """A generator that draws these numbers in turn, and remembers from what integers were drawn."""

    def __init__(self, numbers: Iterator[object]):
        self.numbers = numbers
        self.ranges: list[tuple[int, int]] = []

    def random(self, size: int | None = None) -> object:
        number = next(self.numbers)
        return number if size is None else np.array(number)

    def integers(self, low: int, high: int | None = None) -> int:
        bounds = (0, low) if high is None else (low, high)
        self.ranges.append(bounds)
        number = int(next(self.numbers))
        assert bounds[0] <= number < bounds[1]
        return number


@pytest.fixture
def mix(monkeypatch):
    """What mixing makes of an empty image whose draws are these, and from what integers were drawn."""

    def mix(change: Mixing, *numbers, image=None, mask=None):
        drawn = Draws(iter(numbers))
        with monkeypatch.context() as stated:
            stated.setattr(np.random, "default_rng", lambda seed: drawn)
            image = np.zeros(SIZE, dtype=np.uint8) if image is None else image
            after = change(image, image if mask is None else mask, 5)
        assert next(drawn.numbers, None) is None  # nothing was left undrawn
        return *after, drawn.ranges

    return mix


@pytest.fixture
def data():
    """Images of one label each, 2 to 4, whose pixels are ten times the label. The last image has a region of the
    rarest class, which is 1."""
    masks = np.zeros((4, *SIZE), dtype=np.uint8)
    images = np.zeros((4, *SIZE), dtype=np.uint8)
    for number in (0, 1, 2):
        masks[number], images[number] = number + 2, 10 * (number + 2)
    images[3] = np.arange(96).reshape(SIZE)
    masks[3, 2:5, 4:7] = 1
    return HandMade(masks, images, classes=6)


def mixing(data, indices=(0, 1, 2, 3), **probabilities) -> Mixing:
    made = build_mixing(AugmentationConfig(**probabilities), data, np.array(indices))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("area", "starts", "rows", "columns", "ranges"),
    [
        (0.25, (0, 0), slice(0, 4), slice(0, 6), [(0, 5), (0, 7)]),
        (0.25, (4, 6), slice(4, 8), slice(6, 12), [(0, 5), (0, 7)]),
        # sides of 0.55: 4.4 rows and 6.6 columns, rounded
        (0.3025, (1, 2), slice(1, 5), slice(2, 9), [(0, 5), (0, 6)]),
        (0.0, (8, 12), slice(0, 0), slice(0, 0), [(0, 9), (0, 13)]),
        (0.9999, (0, 0), slice(0, 8), slice(0, 12), [(0, 1), (0, 1)]),
    ],
)
def test_cutmix_shows_a_box_of_that_area_at_that_place(area, starts, rows, columns, ranges, data, mix):
    change = mixing(data, (0, 2), cutmix=1.0)
    image, mask, drawn = mix(change, [0.0, 0.0], 1, area, *starts)
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[rows, columns] = 40  # of image 2, the second of the training images
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(mask, expected // 10)
    assert drawn == [(0, 2), *ranges]


@pytest.mark.parametrize(
    ("chances", "cut", "pasted"),
    [
        ([0.29, 0.6], True, False),
        ([0.3, 0.6], False, False),
        ([0.9, 0.59], False, True),
        ([0.0, 0.0], True, True),
    ],
)
def test_each_kind_has_its_probability(chances, cut, pasted, data, mix):
    change = mixing(data, cutmix=0.3, copy_paste=0.6)
    draws = [0, 0.25, 0, 0] * cut + PASTE * pasted
    given = np.zeros(SIZE, dtype=np.uint8)
    image, mask, _ = mix(change, chances, *draws, image=given)
    assert not given.any()
    assert (2 in mask, 1 in mask) == (cut, pasted)
    assert (image is given, mask is given) == (not cut and not pasted,) * 2


@pytest.mark.parametrize(("cutmix", "copy_paste"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_probability_of_nothing_is_never_and_of_one_always(cutmix, copy_paste, data, mix):
    change = mixing(data, cutmix=cutmix, copy_paste=copy_paste)
    for chance in (0.0, 0.999):
        draws = [0, 0.25, 0, 0] if cutmix else PASTE
        _, mask, _ = mix(change, [chance, chance], *draws)
        assert (2 in mask, 1 in mask) == (bool(cutmix), bool(copy_paste))


def test_copy_paste_follows_cutmix_with_the_same_draws(data, mix, monkeypatch):
    change = mixing(data, cutmix=1.0, copy_paste=1.0)
    seen = []

    def paste(image, mask, rng):
        seen.append((image.copy(), mask.copy(), rng.random()))
        image[3, 3], mask[3, 3] = 54, 1

    change.copy_paste = paste
    image, mask, _ = mix(change, [0.0, 0.0], 2, 0.9999, 0, 0, 0.25)
    ((before, labels, drawn),) = seen
    assert (before == 40).all()
    assert (labels == 4).all()
    assert drawn == 0.25
    assert (mask == 4).sum() == 95
    assert (mask[3, 3], image[3, 3], image[0, 0]) == (1, 54, 40)


def test_draws_are_those_of_the_seed_and_not_of_the_augmentation_that_follows(data, monkeypatch):
    seeds = []

    def default_rng(seed):
        seeds.append(seed)
        return Draws(iter([[0.9, 0.9]]))

    monkeypatch.setattr(np.random, "default_rng", default_rng)
    mixing(data, cutmix=0.5)(data.images[0], data.masks[0], 7)
    assert seeds == [(7, 1)]


def test_either_kind_is_something_to_do(data):
    for probabilities in ({"cutmix": 0.1}, {"copy_paste": 0.1}):
        assert mixing(data, **probabilities).indices.tolist() == [0, 1, 2, 3]
    assert build_mixing(AugmentationConfig(), data, np.arange(4)) is None
