from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.grouping.copies import copies
from trainables.data.grouping.details import WORKING_AREA, details_of, factor_for
from trainables.data.grouping.look_alikes import Links, look_alikes
from trainables.data.grouping.overlaps import correlation, overlap


def textured(count: int, size: tuple[int, int] = (96, 160), seed: int = 0) -> np.ndarray:
    """Return frames (count, H, W) uint8 of noise of several scales."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        frame = np.full(size, 128, np.float32)
        for cell in (2, 5, 12):
            coarse = rng.standard_normal((size[0] // cell + 3, size[1] // cell + 3)).astype(np.float32)
            frame += 12 * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return np.stack(frames)


def pair_of_tiles(frame: np.ndarray) -> list[np.ndarray]:
    """Return two tiles (48, 80) of a frame that share a third of their area."""
    return [frame[3:51, 7:87], frame[20:68, 47:127]]


TILES = np.stack([tile for frame in textured(12) for tile in pair_of_tiles(frame)])
PAIRS = np.repeat(np.arange(12), 2)


def noisy(tiles: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 2, tiles.shape)
    return np.clip(tiles + noise, 0, 255).astype(np.uint8)


def compressed(tiles: np.ndarray) -> np.ndarray:
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", tile)[1], cv2.IMREAD_UNCHANGED) for tile in tiles])


@pytest.mark.parametrize(
    "change",
    [
        lambda tiles: tiles,
        noisy,
        compressed,
        lambda tiles: (tiles / 255).astype(np.float32),
        lambda tiles: np.stack([tiles, tiles // 2, 255 - tiles // 3], axis=-1),
        lambda tiles: np.concatenate([tiles[:1] // 2 + 40, tiles[1:]]),  # one is darker, with less contrast
    ],
    ids=["exact", "noise", "JPEG", "floats", "colours", "other light"],
)
def test_overlapping_tiles_are_found(change):
    assert np.array_equal(look_alikes(change(TILES)), PAIRS)


def test_the_order_does_not_matter():
    order = np.random.default_rng(2).permutation(len(TILES))
    found = look_alikes(TILES[order])
    assert np.array_equal(found[:, None] == found, PAIRS[order][:, None] == PAIRS[order])
    assert found[0] == 0
    assert all(number <= found[:place].max() + 1 for place, number in enumerate(found) if place)


def test_large_images_are_reduced():
    tiles = [tile for frame in textured(4, (400, 700), 3) for tile in (frame[:300, :400], frame[90:390, 250:650])]
    factor = factor_for(tiles)
    assert factor == 3
    assert details_of(tiles[0], factor).response.size <= WORKING_AREA
    assert look_alikes(tiles).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_copies_of_other_sizes_are_found():
    frames = textured(4)
    images = [*frames, *(cv2.resize(frame, (120, 72), interpolation=cv2.INTER_AREA) for frame in frames)]
    assert list(copies(images)) == [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert look_alikes(images).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_images_without_details_are_apart():
    assert look_alikes(np.full((5, 20, 30), 7, np.uint8)).tolist() == [0, 1, 2, 3, 4]
    assert look_alikes(np.zeros((4, 3, 3, 2), np.float32)).tolist() == [0, 1, 2, 3]


def test_horizons_are_not_one_frame():
    """Only a straight edge is alike in them: every shift along it makes them correlate."""
    slope = np.clip(np.arange(48)[:, None] - 20 - 0.3 * np.arange(80), 0, 1)
    rng = np.random.default_rng(4)
    tiles = [np.rint(60 + 80 * slope + rng.normal(0, 1, slope.shape)).astype(np.uint8) for _ in range(2)]
    first, second = (details_of(tile, 1).response for tile in tiles)
    assert correlation(first, second) > 0.9
    assert not overlap(first, second, 0, 0)
    assert overlap(first, first, 0, 0)


def test_an_overlap_of_a_few_pixels_is_none():
    response = details_of(TILES[0], 1).response
    assert overlap(response, response[:, :30], 0, 0)
    assert not overlap(response[:20, :16], response[:20, :16], 0, 0)


def test_a_correlation_is_that_of_numpy():
    rng = np.random.default_rng(5)
    one, other = rng.integers(-2047, 2048, (2, 30, 40)).astype(np.int16)
    other[::2] = one[::2]
    assert correlation(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    assert correlation(one, np.ones_like(one)) == 0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*2 * [st.integers(0, n - 1)])))))
def test_groups_are_what_links_connect(linked):
    count, pairs = linked
    links, reached = Links(count), np.eye(count, dtype=bool)
    for first, second in pairs:
        links.join(first, second)
        reached[first, second] = reached[second, first] = True
    for _ in range(count.bit_length()):
        reached = reached @ reached
    groups = links.groups()
    assert np.array_equal(groups[:, None] == groups, reached)
    firsts = [int(np.flatnonzero(groups == number)[0]) for number in range(groups.max() + 1)]
    assert firsts == sorted(firsts)
