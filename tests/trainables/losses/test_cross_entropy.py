from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainables.data import DataDescription
from trainables.losses import LossTask, build_loss
from trainables.losses.config import LossConfig
from trainables.losses.cross_entropy import class_weights

DESCRIBED = DataDescription(class_names=("unlabelled", "a", "b", "c"), ignored_label=0)
COUNTS = np.array([500, 800, 200, 0])


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(2, 4, 6, 5), torch.randint(0, 3, (2, 6, 5))


def weighted(exponent: float):
    config = LossConfig(name="weighted_cross_entropy", parameters={"class_weight_exponent": exponent})
    return build_loss(config, described=DESCRIBED, pixel_counts=COUNTS)


def test_it_is_torchs_mean_over_the_labelled_pixels(batch):
    loss = build_loss(LossConfig(name="cross_entropy"), described=DESCRIBED, pixel_counts=COUNTS)
    torch.testing.assert_close(loss(*batch), functional.cross_entropy(*batch, ignore_index=0))


@pytest.mark.parametrize(("exponent", "ratio"), [(0.0, 1.0), (0.5, 2.0), (1.0, 4.0)])
def test_weights_are_inverse_frequencies_to_a_power_with_mean_one_over_the_labelled_pixels(exponent, ratio):
    weights = class_weights(LossTask(described=DESCRIBED, pixel_counts=COUNTS), exponent)
    assert weights[[0, 3]].tolist() == [0, 0]  # ignored, and in no mask
    assert (weights[2] / weights[1]).item() == pytest.approx(ratio)
    assert (800 * weights[1] + 200 * weights[2]).item() == pytest.approx(1000)


def test_a_pixel_counts_as_much_as_its_class_weighs(batch):
    logits, target = batch
    weights = class_weights(LossTask(described=DESCRIBED, pixel_counts=COUNTS), 0.5)
    by_pixel = functional.cross_entropy(logits, target, reduction="none") * weights[target]
    torch.testing.assert_close(weighted(0.5)(logits, target), by_pixel.sum() / (target != 0).sum())


def test_exponent_zero_is_plain_cross_entropy(batch):
    torch.testing.assert_close(weighted(0.0)(*batch), functional.cross_entropy(*batch, ignore_index=0))


def test_without_a_labelled_pixel_in_the_training_masks_there_are_no_weights():
    with pytest.raises(AssertionError, match="no labelled pixel"):
        class_weights(LossTask(described=DESCRIBED, pixel_counts=np.array([9, 0, 0, 0])), 0.5)
