"""Mixing whose draws a test states: which pixels and labels come from where."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.numbered import HandMade
from trainables.config import AugmentationConfig
from trainables.mixing import Mixing, build_mixing

SIZE = (8, 12)


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
    """Images of one label each, 2 to 4, whose pixels are ten times the label. The last image has two regions of the
    rarest class, which is 1, one within the other's box."""
    masks = np.zeros((4, *SIZE), dtype=np.uint8)
    images = np.zeros((4, *SIZE), dtype=np.uint8)
    for number in (0, 1, 2):
        masks[number], images[number] = number + 2, 10 * (number + 2)
    images[3] = np.arange(96).reshape(SIZE)
    masks[3, 2, 4:7] = 1  # an L of five pixels ...
    masks[3, 3:5, 4] = 1
    masks[3, 4, 6] = 1  # ... and one pixel in its box
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
    draws = [0, 0.25, 0, 0] * cut + [1, 0, 0.9, 0, 0] * pasted
    given = np.zeros(SIZE, dtype=np.uint8)
    image, mask, _ = mix(change, chances, *draws, image=given)
    assert not given.any()
    assert (2 in mask, 1 in mask) == (cut, pasted)
    assert (image is given, mask is given) == (not cut and not pasted,) * 2


@pytest.mark.parametrize(("cutmix", "copy_paste"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_probability_of_nothing_is_never_and_of_one_always(cutmix, copy_paste, data, mix):
    change = mixing(data, cutmix=cutmix, copy_paste=copy_paste)
    for chance in (0.0, 0.999):
        draws = [0, 0.25, 0, 0] if cutmix else [1, 0, 0.9, 0, 0]
        _, mask, _ = mix(change, [chance, chance], *draws)
        assert (2 in mask, 1 in mask) == (bool(cutmix), bool(copy_paste))


def test_without_a_region_no_number_of_them_is_drawn(data, mix):
    change = mixing(data, (0, 1, 2), copy_paste=1.0)
    assert change.regions == []
    _, mask, drawn = mix(change, [0.0, 0.0])
    assert not mask.any()
    assert drawn == []


def test_regions_are_cut_out_with_their_own_pixels_alone(data):
    (pixels, large), (pixel, small) = mixing(data, copy_paste=0.5).regions
    assert large.tolist() == [[True, True, True], [True, False, False], [True, False, False]]
    assert pixels.tolist() == [[28, 29, 30], [40, 41, 42], [52, 53, 54]]  # 12 a row
    assert (small.tolist(), pixel.tolist()) == ([[True]], [[54]])
    assert mixing(data, cutmix=1.0).regions == []  # none is looked for
    assert mixing(data, (0, 1), copy_paste=1.0).regions == []


def test_pixels_that_touch_at_a_corner_are_one_region():
    masks = np.zeros((1, 3, 3), dtype=np.uint8)
    masks[0, [0, 1], [0, 1]] = 1
    ((_, region),) = mixing(HandMade(masks), (0,), copy_paste=1.0).regions
    assert region.tolist() == [[True, False], [False, True]]


def test_a_region_is_pasted_at_its_place_and_nothing_around_it(data, mix):
    change = mixing(data, copy_paste=1.0)
    background = np.full(SIZE, 200, dtype=np.uint8)
    image, mask, drawn = mix(change, [0.0, 0.0], 1, 0, 0.5, 5, 9, image=background, mask=background)
    expected, labels = background.copy(), background.copy()
    expected[5, 9:12], expected[6, 9], expected[7, 9] = [28, 29, 30], 40, 52
    labels[5, 9:12], labels[6:8, 9] = 1, 1
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(mask, labels)
    # one to three regions, of two; then the last row and column at which one of 3x3 pixels still fits
    assert drawn == [(1, 4), (0, 2), (0, 6), (0, 10)]


def test_half_of_the_regions_are_mirrored(data, mix):
    change = mixing(data, copy_paste=1.0)
    for chance, row in ((0.49, [30, 29, 28]), (0.5, [28, 29, 30])):
        image, mask, _ = mix(change, [0.0, 0.0], 1, 0, chance, 0, 0)
        assert image[0, :3].tolist() == row
        assert mask[:3, :3].any(axis=0).tolist() == [True, True, True]
        assert mask[2, :3].tolist() == ([0, 0, 1] if chance < 0.5 else [1, 0, 0])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_regions_are_pasted_as_were_drawn(count, data, mix):
    places = [(0, 0), (0, 11), (7, 5)]
    draws = [number for place in places[:count] for number in (1, 0.9, *place)]
    image, mask, _ = mix(mixing(data, copy_paste=1.0), [0.0, 0.0], count, *draws)
    assert list(zip(*np.nonzero(mask), strict=True)) == places[:count]
    assert [image[place] for place in places[:count]] == [54] * count


def test_what_was_cut_in_may_be_pasted_over(data, mix):
    """CutMix comes first."""
    change = mixing(data, cutmix=1.0, copy_paste=1.0)
    image, mask, _ = mix(change, [0.0, 0.0], 2, 0.9999, 0, 0, 1, 1, 0.9, 3, 3)
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
