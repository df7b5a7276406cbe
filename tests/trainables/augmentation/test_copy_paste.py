"""Regions of the rarest class that appear in other images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.made.numbered import HandMade
from trainables.augmentation.copy_paste import MARGIN, MOST_PASTED, CopyPaste, Region, opacity, regions, resized

SIZE = (64, 128)
SQUARE = (slice(20, 30), slice(40, 50))


def copy_paste(*masks, images=None, indices=None) -> CopyPaste:
    masks = np.array(masks, dtype=np.uint8)
    images = np.where(masks == 1, 200, 50).astype(np.uint8) if images is None else images
    return CopyPaste(HandMade(masks, images), np.arange(len(masks)) if indices is None else np.array(indices))


def empty() -> np.ndarray:
    return np.zeros(SIZE, dtype=np.uint8)


def with_square(side=10) -> np.ndarray:
    mask = empty()
    mask[20 : 20 + side, 40 : 40 + side] = 1
    return mask


@pytest.fixture
def one_region(monkeypatch):
    """Exactly one region is pasted into each image."""
    monkeypatch.setattr("trainables.augmentation.copy_paste.MOST_PASTED", 1)


def pasted(change, seed, dtype=np.uint8, background=50):
    image, mask = np.full(SIZE, background, dtype=dtype), empty()
    change(image, mask, np.random.default_rng(seed))
    return image, mask


def test_regions_are_cut_out_with_a_margin_and_told_from_what_is_in_their_box():
    image, mask = np.arange(64 * 128).reshape(SIZE) % 251, empty()
    mask[10, 4:7] = mask[10:13, 4] = 1  # an L of five pixels ...
    mask[12, 6] = 1  # ... and one pixel in its box
    large, small = regions(image.astype(np.uint8), mask == 1)
    assert large.belongs.shape == (3 + 2 * MARGIN, 3 + 2 * MARGIN)
    assert large.belongs[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(int).tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(large.pixels, image[8:15, 2:9])
    assert small.belongs.sum() == 1
    np.testing.assert_array_equal(small.pixels, image[10:15, 4:9])


def test_at_the_border_the_margin_ends_and_corners_connect():
    mask = np.zeros((3, 5), dtype=bool)
    mask[[0, 1], [0, 1]] = True
    (region,) = regions(np.zeros((3, 5), dtype=np.uint8), mask)
    assert region.belongs.shape == (3, 4)
    assert region.belongs.sum() == 2


@pytest.mark.usefixtures("one_region")
def test_labels_are_sharp_and_pixels_fade_at_the_edge():
    change = copy_paste(with_square())
    for seed in range(30):
        image, mask = pasted(change, seed)
        assert set(np.unique(mask)) <= {0, 1}
        inside = cv2.erode(mask, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=1) == 1
        outside = cv2.dilate(mask, np.ones((2 * MARGIN + 3,) * 2)) == 0
        assert (image[outside] == 50).all()
        assert inside.any()
        assert (image[inside] > 190).all()
        edge = (mask == 1) & (cv2.erode(mask, np.ones((3, 3))) == 0)
        assert 100 < image[edge].mean() < 190


def test_the_opacity_is_a_gaussian_of_the_region():
    belongs = np.zeros((11, 11), dtype=bool)
    belongs[:, 6:] = True
    weights = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    share = np.cumsum(weights[::-1] / weights.sum())
    row = opacity(belongs)[5]
    assert row[:4].tolist() == [0.0] * 4
    assert row[4:9] == pytest.approx(share, abs=1e-6)
    assert row[9:] == pytest.approx([1.0, 1.0], abs=1e-6)


def test_one_to_three_regions_are_pasted():
    triangle = empty()
    triangle[10:18, 10:18] = np.tri(8)
    change = copy_paste(triangle)
    counts = {cv2.connectedComponents(pasted(change, seed)[1])[0] - 1 for seed in range(60)}
    assert counts == {1, 2, MOST_PASTED}


@pytest.mark.usefixtures("one_region")
def test_half_of_the_regions_are_mirrored():
    triangle = empty()
    triangle[10:18, 10:18] = np.tri(8)
    right = []
    for seed in range(300):
        columns = np.flatnonzero(pasted(copy_paste(triangle), seed)[1].any(axis=0))
        mask = pasted(copy_paste(triangle), seed)[1]
        right.append(mask[:, columns[0]].sum() < mask[:, columns[-1]].sum())
    assert np.mean(right) == pytest.approx(0.5, abs=0.1)


@pytest.mark.usefixtures("one_region")
def test_pixels_are_mirrored_with_their_region(monkeypatch):
    """A region that is dark on its left, where it is tall, stays dark where it is tall."""
    monkeypatch.setattr("trainables.augmentation.copy_paste.SCALES", (1.0, 1.0))
    triangle, image = empty(), np.full_like(empty(), 250)
    triangle[10:18, 10:18] = np.tri(8)
    image[:, :14] = 10
    change, mirrored = copy_paste(triangle, images=[image]), set()
    for seed in range(40):
        made, mask = pasted(change, seed)
        columns = np.flatnonzero(mask.any(axis=0))
        if len(columns) < 8:
            continue  # cut off by the border
        tall, short = columns[[0, -1]] if mask[:, columns[0]].sum() > mask[:, columns[-1]].sum() else columns[[-1, 0]]
        mirrored.add(bool(tall > short))
        assert made[:, tall][mask[:, tall] > 0].mean() < made[:, short][mask[:, short] > 0].mean()
    assert mirrored == {True, False}


@pytest.mark.usefixtures("one_region")
def test_sizes_lie_between_three_quarters_and_four_thirds():
    change = copy_paste(with_square(16))
    sides = np.array([np.sqrt(pasted(change, seed)[1].sum()) for seed in range(300)])
    assert sides.min() == pytest.approx(12, abs=0.6)
    assert sides.max() == pytest.approx(16 * 4 / 3, abs=0.8)
    assert np.median(sides) == pytest.approx(16, abs=0.6)


@pytest.mark.parametrize(("factor", "shape"), [(0.75, (6, 9)), (1.0, (8, 12)), (4 / 3, (11, 16)), (9.0, (40, 60))])
def test_a_region_is_enlarged_but_never_beyond_the_image(factor, shape):
    belongs = np.zeros((8, 12), dtype=bool)
    belongs[2:6, 3:9] = True
    region = Region(np.full((8, 12), 7, dtype=np.uint8), belongs)
    other = resized(region, factor, (40, 80))
    assert other.belongs.shape == other.pixels.shape == shape
    assert (other.pixels == 7).all()
    assert other.belongs.mean() == pytest.approx(0.25, abs=0.06)


def test_a_region_that_would_vanish_keeps_its_size():
    belongs = np.zeros((8, 8), dtype=bool)
    belongs[::4, ::4] = True  # single pixels, a quarter of each pixel of half the size
    region = Region(np.zeros((8, 8), dtype=np.uint8), belongs)
    assert resized(region, 0.5, (40, 80)) is region


@pytest.mark.usefixtures("one_region")
def test_an_image_of_many_regions_counts_as_one_donor():
    many = empty()
    for row in range(0, 60, 6):
        many[row : row + 3, 100:103] = 1
    change = copy_paste(many, with_square(20))
    assert [len(image) for image in change.donors] == [10, 1]
    large = [pasted(change, seed)[1].sum() > 100 for seed in range(300)]
    assert np.mean(large) == pytest.approx(0.5, abs=0.1)


def test_regions_below_the_smallest_area_are_left_out_unless_there_are_no_others():
    small, four, three = empty(), empty(), empty()
    four[5:7, 5:7] = 1
    three[5, 5:8] = 1
    small[5:7, 5:7] = small[20, 20:23] = 1
    assert [[int(r.belongs.sum()) for r in image] for image in copy_paste(small, three).donors] == [[4]]
    assert [[int(r.belongs.sum()) for r in image] for image in copy_paste(three).donors] == [[3]]
    assert [[int(r.belongs.sum()) for r in image] for image in copy_paste(four, with_square()).donors] == [[4], [100]]


def test_only_the_given_images_are_donors():
    bright = np.full((2, *SIZE), 50, dtype=np.uint8)
    bright[0][SQUARE], bright[1][SQUARE] = 200, 255
    change = copy_paste(with_square(), with_square(), images=bright, indices=[0])
    assert max(pasted(change, seed)[0].max() for seed in range(20)) == 200


def test_without_a_donor_nothing_is_drawn_or_pasted():
    change = copy_paste(empty())
    assert change.donors == []
    rng = np.random.default_rng(0)
    change(empty(), empty(), rng)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_both_types_of_image_are_blended(dtype):
    images = np.where(with_square() == 1, 200, 50)[None].astype(dtype)
    change = copy_paste(with_square(), images=images if dtype == np.uint8 else images / np.float32(255))
    for seed in range(10):
        image, mask = pasted(change, seed, dtype, 50 if dtype == np.uint8 else 50 / 255)
        assert image.dtype == dtype
        top = 200 if dtype == np.uint8 else 200 / 255
        assert image[mask == 1].max() == pytest.approx(top, rel=0.02)
        assert image.max() <= top
