from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from trainables.augmentation.transforms import AugmentationConfig, build_augmentation

SIZE = (16, 32)
IMAGE = np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
MASK = np.zeros(SIZE, dtype=np.uint8)
FLIPS = {"none": IMAGE, "horizontal": IMAGE[:, ::-1], "vertical": IMAGE[::-1], "both": IMAGE[::-1, ::-1]}


def outcomes(name: str, seeds: int = 400) -> Counter[str]:
    augmentation = build_augmentation(AugmentationConfig(name=name), size=SIZE)
    results = [augmentation(IMAGE, MASK, seed)[0] for seed in range(seeds)]
    return Counter(
        next((flip for flip, expected in FLIPS.items() if np.array_equal(result, expected)), "resized")
        for result in results
    )


@pytest.mark.parametrize(("name", "expected"), [("hflip", {"none", "horizontal"}), ("flips", set(FLIPS))])
def test_flips_are_drawn_independently_and_equally_often(name, expected):
    counts = outcomes(name)
    assert set(counts) == expected
    for count in counts.values():
        assert count / 400 == pytest.approx(1 / len(expected), abs=0.08)


def test_half_of_the_images_are_cropped_whichever_way_they_are_flipped():
    counts = outcomes("flips+crop")
    assert counts["resized"] / 400 == pytest.approx(0.5, abs=0.08)
    assert set(counts) == {*FLIPS, "resized"}


def test_a_crop_keeps_most_of_the_image_and_nearly_its_aspect():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    augmentation = build_augmentation(AugmentationConfig(name="flips+crop"), size=SIZE)
    for seed in range(60):
        height, width = (np.ptp(augmentation(ramp, MASK, seed)[0]) + 1 for ramp in (rows, columns))
        assert height * width > 0.5 * SIZE[0] * SIZE[1]
        assert 0.7 < (width / height) / (SIZE[1] / SIZE[0]) < 1.45


def test_importing_leaves_the_environment_alone_and_imports_nothing_before_it_is_needed():
    code = """if True:
        import os, sys
        os.environ.pop("NO_ALBUMENTATIONS_UPDATE", None)
        import trainables.augmentation.transforms
        assert "NO_ALBUMENTATIONS_UPDATE" not in os.environ  # commands set it
        assert "albumentations" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)
