"""What every augmentation must do. A new registry entry is tested as it is."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.augmentations import AUGMENTATIONS, build_augmentation
from trainables.config import AugmentationConfig

SIZE = (24, 40)
every_augmentation = pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "none"])


def make(name: str):
    return build_augmentation(AugmentationConfig(name=name), size=SIZE)


@pytest.fixture
def mask() -> np.ndarray:
    """(24, 40) uint8: regions of 8x8 pixels with the labels 0 to 4."""
    return np.kron(np.random.default_rng(0).integers(0, 5, (3, 5)), np.ones((8, 8))).astype(np.uint8)


@every_augmentation
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shapes_types_ranges_and_labels_stay(name, dtype, mask):
    augmentation = make(name)
    image = np.random.default_rng(1).integers(0, 256, SIZE).astype(dtype) / dtype(1)
    image = image.astype(dtype)
    for seed in range(30):
        result, result_mask = augmentation(image, mask, seed)
        assert (result.shape, result.dtype) == (SIZE, dtype)
        assert (result_mask.shape, result_mask.dtype) == (SIZE, np.uint8)
        assert image.min() <= result.min() <= result.max() <= image.max()
        assert set(np.unique(result_mask)) <= set(np.unique(mask))


@every_augmentation
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_mask_moves_with_the_image(name, dtype, mask):
    """An image that equals its mask does so afterwards, but for pixels between two labels that resizing blends."""
    augmentation = make(name)
    for seed in range(30):
        result, result_mask = augmentation(mask.astype(dtype), mask, seed)
        inside = np.ones(SIZE, dtype=bool)  # pixels whose neighbours have the same label
        for axis in (0, 1):
            change = np.diff(result_mask, axis=axis) != 0
            for side in ((1, 0), (0, 1)):
                inside &= ~np.pad(change, [side if a == axis else (0, 0) for a in (0, 1)])
        assert inside.mean() > 0.4
        np.testing.assert_allclose(result[inside], result_mask[inside], atol=0.35 if dtype == np.float32 else 0)


@every_augmentation
def test_the_seed_alone_decides(name, mask):
    first, second = make(name), make(name)
    expected = [first(mask, mask, seed)[0].copy() for seed in range(20)]
    for seed in reversed(range(20)):
        np.testing.assert_array_equal(second(mask, mask, seed)[0], expected[seed])
    assert len({result.tobytes() for result in expected}) > 1


@every_augmentation
def test_image_and_mask_are_not_written_to(name, mask):
    augmentation, image = make(name), mask.astype(np.float32)
    image.setflags(write=False)
    mask.setflags(write=False)
    for seed in range(10):
        augmentation(image, mask, seed)


def test_none_is_nothing_to_do():
    assert make("none") is None


def test_an_unknown_name_is_refused_with_the_known_ones():
    config = AugmentationConfig()
    object.__setattr__(config, "name", "magic")
    with pytest.raises(ValueError, match=rf"unknown augmentation 'magic': known are {', '.join(AUGMENTATIONS)}"):
        build_augmentation(config, size=SIZE)
