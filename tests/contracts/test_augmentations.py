"""What every augmentation must do. A new registry entry is tested as it is."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.augmentation.transforms import AUGMENTATIONS, AugmentationConfig, build_augmentation

SIZE = (24, 40)
SUM = "flips+crop"
PIXELS_ONLY = ("brightness", "coarse_dropout")
"""They change what is seen, not where it is: masks stay as they are."""
names = [name for name in AUGMENTATIONS if name != "none"] + [SUM]
every_augmentation = pytest.mark.parametrize("name", names)
every_geometric = pytest.mark.parametrize("name", [name for name in names if name not in PIXELS_ONLY])


def make(name: str, size: tuple[int, int] = SIZE):
    return build_augmentation(AugmentationConfig(name=name), size=size)


@pytest.fixture
def mask() -> np.ndarray:
    """(24, 40) uint8: regions of 8x8 pixels with the labels 1 to 4; not 0, with which borders might be filled."""
    return np.kron(np.random.default_rng(0).integers(1, 5, (3, 5)), np.ones((8, 8))).astype(np.uint8)


def noise(dtype: type, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) over the whole range of stored pixels: 0 to 255, or 0 to 1 for floats."""
    image = np.random.default_rng(1).integers(0, 256, size)
    return image.astype(np.uint8) if dtype == np.uint8 else (image / 255).astype(dtype)


def inside(mask: np.ndarray, margin: int = 2) -> np.ndarray:
    """Pixels whose neighbours up to that distance have the same label: distortions may stretch to twice the size."""
    result = np.ones(mask.shape, dtype=bool)
    for rows, columns in itertools.product(range(-margin, margin + 1), repeat=2):
        result &= np.roll(mask, (rows, columns), axis=(0, 1)) == mask
    result[:margin] = result[-margin:] = result[:, :margin] = result[:, -margin:] = False
    return result


@every_augmentation
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shapes_types_ranges_and_labels_stay(name, dtype, mask):
    augmentation, image = make(name), noise(dtype)
    for seed in range(30):
        result, result_mask = augmentation(image, mask, seed)
        assert (result.shape, result.dtype) == (SIZE, dtype)
        assert (result_mask.shape, result_mask.dtype) == (SIZE, np.uint8)
        assert image.min() <= result.min() <= result.max() <= image.max()
        assert set(np.unique(result_mask)) <= set(np.unique(mask))


@every_augmentation
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (7, 13), (8, 8), (9, 30), (16, 16), (64, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_small_and_odd_sizes_are_augmented_like_any_other(name, size, dtype):
    augmentation, image, labels = make(name, size), noise(dtype, size), np.full(size, 3, np.uint8)
    labels[: size[0] // 2] = 1
    results = [augmentation(image, labels, seed) for seed in range(20)]
    for result, result_mask in results:
        assert (result.shape, result.dtype) == (size, dtype)
        assert (result_mask.shape, result_mask.dtype) == (size, np.uint8)
        assert image.min() <= result.min() <= result.max() <= image.max() or name in PIXELS_ONLY
        assert set(np.unique(result_mask)) <= {1, 3}
    assert min(size) < 8 or any(not np.array_equal(result, image) for result, _ in results)


@every_geometric
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_mask_moves_with_the_image(name, dtype, mask):
    """An image that equals its mask does so afterwards, but for pixels between two labels that resampling blends."""
    augmentation = make(name)
    image = mask if dtype == np.uint8 else mask.astype(np.float32) / 4
    for seed in range(30):
        result, result_mask = augmentation(image, mask, seed)
        same = inside(result_mask)
        assert same.mean() > 0.1
        expected = result_mask if dtype == np.uint8 else result_mask / np.float32(4)
        np.testing.assert_allclose(result[same], expected[same], atol=0 if dtype == np.uint8 else 0.09)


@pytest.mark.parametrize("name", PIXELS_ONLY)
def test_what_changes_pixels_only_leaves_the_mask_alone(name, mask):
    augmentation, image = make(name), noise(np.float32)
    for seed in range(30):
        result, result_mask = augmentation(image, mask, seed)
        np.testing.assert_array_equal(result_mask, mask)
        if name == "brightness":  # what is brighter stays so, but for what is clipped
            order = np.argsort(image, axis=None)
            assert (np.diff(result.flatten()[order]) >= -1e-6).all()
        else:
            assert ((result == image) | (result == 0)).all()
            assert (result == image).mean() > 0.5


@every_augmentation
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_seed_alone_decides(name, dtype, mask):
    first, second, image = make(name), make(name), noise(dtype)
    expected = [first(image, mask, seed)[0].copy() for seed in range(20)]
    for seed in reversed(range(20)):
        np.testing.assert_array_equal(second(image, mask, seed)[0], expected[seed])
    different = len({result.tobytes() for result in expected})
    assert different > (1 if "flip" in name else 5)


@every_augmentation
def test_about_half_of_the_images_are_changed_by_each_transform(name, mask):
    augmentation, image = make(name), noise(np.uint8)
    same = np.mean([np.array_equal(augmentation(image, mask, seed)[0], image) for seed in range(200)])
    transforms = {"flips": 2, SUM: 3}.get(name, 1)
    assert same == pytest.approx(0.5**transforms, abs=0.12)


@every_augmentation
def test_image_and_mask_are_not_written_to(name, mask):
    augmentation, image = make(name), noise(np.float32)
    image.setflags(write=False)
    mask.setflags(write=False)
    for seed in range(10):
        augmentation(image, mask, seed)


def test_another_process_gives_the_same_for_the_same_seeds():
    """Whatever its global generators were seeded with."""
    code = """if True:
        import random, sys
        import numpy
        sys.modules["torch"] = None  # Albumentations imports it if it is there, which takes seconds
        random.seed(5), numpy.random.seed(6)
        from tests.contracts.test_augmentations import digest
        print(digest())
    """
    program = [sys.executable, "-c", code]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run(program, cwd=root, capture_output=True, text=True, check=True).stdout.strip() == digest()


def digest() -> str:
    """Of what every augmentation makes of one image under a few seeds."""
    mask = np.kron(np.random.default_rng(0).integers(0, 5, (3, 5)), np.ones((8, 8))).astype(np.uint8)
    results = [make(name)(noise(np.uint8), mask, seed) for name in names for seed in range(6)]
    return hashlib.sha256(b"".join(array.tobytes() for pair in results for array in pair)).hexdigest()


def test_none_is_nothing_to_do():
    assert make("none") is None


def test_an_unknown_name_is_refused_with_the_known_ones():
    config = AugmentationConfig()
    object.__setattr__(config, "name", "flips+magic")
    with pytest.raises(ValueError, match=rf"unknown augmentation 'magic': must be one of {', '.join(AUGMENTATIONS)}"):
        build_augmentation(config, size=SIZE)


@every_augmentation
@pytest.mark.parametrize("channels", [3, 4, 13])
def test_all_channels_move_alike(name, channels, mask):
    """Channels that are the same stay the same, and masks move as with one channel."""
    augmentation = make(name)
    for dtype in (np.uint8, np.float32):
        grey = noise(dtype)
        image = np.repeat(grey[..., None], channels, axis=-1)
        for seed in range(10):
            result, result_mask = augmentation(image, mask, seed)
            assert (result.shape, result.dtype) == ((*SIZE, channels), dtype)
            assert (result == result[..., :1]).all()
            np.testing.assert_array_equal(result_mask, augmentation(grey, mask, seed)[1])
