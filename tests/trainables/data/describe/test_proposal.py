"""Which sizes are proposed for which data."""

from __future__ import annotations

import numpy as np
import pytest

from search.study.profiles import PROFILES
from trainables.data.describe.facts import DataSummary
from trainables.data.describe.proposal import (
    propose,
    suitable_batch_sizes,
    suitable_depths,
)


def of_sizes(*sizes: tuple[int, int], train: int = 2000) -> DataSummary:
    return DataSummary(
        images=len(sizes),
        train_images=train,
        sizes=np.array(sizes, np.int64),
        intensities=((0.0, 1.0, 0.5, 0.2),),
        class_shares={},
        objects={},
        looked_at=len(sizes),
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_sizes_of_the_profiles_are_those_for_the_images_they_were_made_on(profile):
    found = propose(of_sizes((64, 128), (64, 128)), depths=profile.depths, batch_sizes=profile.batch_sizes)
    assert (found.crop.whole, found.depths, found.batch_sizes) == (True, profile.depths, profile.batch_sizes)


@pytest.mark.parametrize(
    ("side", "depths", "why"),
    [
        (64, (2, 3, 4, 5), "5 halvings of the shorter side, 64 pixels, leave 2"),
        (63, (2, 3, 4), "more halvings of the shorter side, 63 pixels, would leave less than 2"),
        (16, (2, 3), "more halvings"),
        (3, (2,), "more halvings"),
    ],
)
def test_depths(side, depths, why):
    found, said = suitable_depths((2, 3, 4, 5), side)
    assert found == depths
    assert why in said


@pytest.mark.parametrize(
    ("area", "images", "batches", "why"),
    [
        (64 * 128, 2000, (16, 32, 64), "images of 8,192 pixels are small enough"),
        (4 * 64 * 128, 64, (16, 32, 64), "small enough"),
        (256 * 256, 2000, (8, 16, 32), "images of 65,536 pixels take much memory"),
        (1024 * 1024, 2000, (2,), "take much memory"),
        (64 * 128, 40, (8, 16, 32), "the train part has 40"),
        (64 * 128, 1, (2,), "the train part has 1"),
    ],
)
def test_batch_sizes(area, images, batches, why):
    found, said = suitable_batch_sizes((16, 32, 64), area, images)
    assert found == batches
    assert why in said


def test_each_sentence_names_its_size():
    lines = propose(of_sizes((600, 800), (500, 700))).lines()
    assert [line.split(":")[0] for line in lines] == ["crops of 256x256", "depths 2/3/4/5", "batch sizes 8/16/32"]
