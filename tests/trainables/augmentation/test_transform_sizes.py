"""How far each augmentation goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from trainables.augmentation.transforms import AUGMENTATIONS, AugmentationConfig, build_augmentation

SIZE = (40, 100)
MASK = np.zeros(SIZE, np.uint8)


def results(name: str, image: np.ndarray, seeds: int = 200) -> list[np.ndarray]:
    """Of an augmentation, where it changed something."""
    augmentation = build_augmentation(config=AugmentationConfig(name=name), size=SIZE)
    found = [augmentation(image, MASK, seed)[0].copy() for seed in range(seeds)]
    changed = [result for result in found if not np.array_equal(result, image)]
    assert 0.35 * seeds < len(changed) < 0.65 * seeds
    return changed


def test_a_crop_is_of_60_to_100_percent_and_4_to_5_of_the_aspect_either_way():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    made = np.array(results("crop", 1000 * rows + columns))  # resampled it is a plane as before
    corner = made[:, 0, 0]
    heights, widths = (made[:, -1, 0] - corner) / 1000 + 1, made[:, 0, -1] - corner + 1
    areas, aspects = heights * widths / (SIZE[0] * SIZE[1]), widths / heights / (SIZE[1] / SIZE[0])
    assert 0.58 < areas.min() < 0.65
    assert 0.95 < areas.max() <= 1
    assert 0.77 < aspects.min() < 0.85
    assert 1.17 < aspects.max() < 1.29


def test_a_rotation_is_of_at_most_15_degrees_either_way():
    image = np.zeros(SIZE, np.float32)
    image[19:21, 80:83] = 1  # to the right of the centre, on its row
    angles = []
    for result in results("rotate", image):
        rows, columns = np.nonzero(result > 0.3)
        angles.append(np.degrees(np.arctan2(19.5 - rows.mean(), columns.mean() - 49.5)))
    assert -16 < min(angles) < -14
    assert 14 < max(angles) < 16


def test_dropout_is_of_one_to_four_boxes_of_a_tenth_to_three_tenths_of_a_side():
    numbers, heights, widths = [], [], []
    for result in results("coarse_dropout", np.ones(SIZE, np.float32), seeds=400):
        count, _, found, _ = cv2.connectedComponentsWithStats((result == 0).view(np.uint8))
        numbers.append(count - 1)
        if count == 2 and found[1][4] == found[1][2] * found[1][3]:  # one box, and not several in one
            widths.append(found[1][2])
            heights.append(found[1][3])
    assert (min(numbers), max(numbers)) == (1, 4)
    assert min(heights) == 4
    assert 11 <= max(heights) <= 12
    assert 10 <= min(widths) <= 12
    assert 28 <= max(widths) <= 30


def test_brightness_and_contrast_change_by_at_most_a_fifth():
    dark, bright = [], []
    image = np.tile(np.float32([0.25, 0.75]), (SIZE[0], SIZE[1] // 2))
    for result in results("brightness", image):
        dark.append(result.min())
        bright.append(result.max())
    # 0.25 * (1 +- 0.2) +- 0.2, and so on
    assert 0 <= min(dark) < 0.05
    assert 0.45 < max(dark) <= 0.5
    contrasts = (np.array(bright) - dark) / 0.5
    assert 0.8 - 1e-5 < contrasts.min() < 0.83
    assert 1.17 < contrasts.max() < 1.2 + 1e-5


@pytest.mark.parametrize(("name", "least", "most"), [("elastic", 1, 3), ("grid_distortion", 5, 30)])
def test_distortions_move_pixels_by_some_and_not_by_most_of_the_image(name, least, most):
    columns = np.tile(np.arange(SIZE[1], dtype=np.float32), (SIZE[0], 1))
    moved = [np.abs(result - columns)[10:-10, 25:-25].max() for result in results(name, columns, seeds=60)]
    assert least < max(moved) < most


def test_an_elastic_displacement_is_smooth_over_a_tenth_of_the_shorter_side():
    (transform,) = AUGMENTATIONS["elastic"]((40, 100))
    assert (transform.sigma, transform.alpha) == (4, 24)
    (transform,) = AUGMENTATIONS["elastic"]((100, 60))
    assert (transform.sigma, transform.alpha) == (6, 36)
    (transform,) = AUGMENTATIONS["elastic"]((100, 8))
    assert (transform.sigma, transform.alpha) == (1, 6)


def test_a_grid_has_five_cells_a_side_or_as_many_as_there_are_pixels():
    assert [AUGMENTATIONS["grid_distortion"](size)[0].num_steps for size in [(40, 100), (5, 9), (30, 3)]] == [5, 5, 3]


def test_flips_are_along_their_own_axis():
    image = np.arange(4000, dtype=np.float32).reshape(SIZE)
    assert all(np.array_equal(result, image[:, ::-1]) for result in results("hflip", image, seeds=40))


def test_augmentations_are_applied_in_the_order_of_their_names():
    image = np.full(SIZE, 0.5, np.float32)

    def holes(name: str) -> set[bool]:
        """Whether the darkest pixels are black, where both were applied."""
        augmentation = build_augmentation(config=AugmentationConfig(name=name), size=SIZE)
        made = [augmentation(image, MASK, seed)[0] for seed in range(60)]
        return {bool(result.min() == 0) for result in made if len(np.unique(result)) == 2 and result.max() != 0.5}

    assert holes("brightness+coarse_dropout") == {True}
    assert False in holes("coarse_dropout+brightness")  # boxes that were lit afterwards


def test_opencv_starts_no_threads_for_one_small_image():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        build_augmentation(AugmentationConfig(name="hflip"), size=SIZE)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_the_size_is_given_by_name():
    with pytest.raises(TypeError):
        build_augmentation(AugmentationConfig(name="hflip"), SIZE)


def test_two_builders_of_one_name_share_nothing():
    first, second = (AUGMENTATIONS["flips"](SIZE) for _ in range(2))
    assert [type(transform).__name__ for transform in first] == ["HorizontalFlip", "VerticalFlip"]
    assert not {id(transform) for transform in first} & {id(transform) for transform in second}
    assert AUGMENTATIONS["none"](SIZE) == []


def test_limits_that_few_seeds_reach():
    (rotation,) = AUGMENTATIONS["rotate"](SIZE)
    assert rotation.limit == (-15, 15)
    (dropout,) = AUGMENTATIONS["coarse_dropout"](SIZE)
    assert (dropout.num_holes_range, dropout.hole_height_range, dropout.hole_width_range) == (
        (1, 4),
        (0.1, 0.3),
        (0.1, 0.3),
    )
