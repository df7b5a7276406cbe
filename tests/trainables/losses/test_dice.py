from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.data import MARS
from trainables.losses import build_loss
from trainables.losses.config import LossConfig


@pytest.fixture
def dice():
    return build_loss(LossConfig(name="dice"), described=MARS, pixel_counts=np.ones(5))


def test_by_hand(dice):
    p = torch.tensor([[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.0, 0.25, 0.25, 0.25, 0.25]])
    target = torch.tensor([1, 2, 0])  # the third pixel is ignored
    # class 1: 2 * 0.6 / (0.6 + 0.1 + 1); class 2 alike; the other classes are not in the image
    expected = 1 - 1.2 / 1.7
    logits = p.clamp(min=1e-9).log().T.reshape(1, 5, 1, 3)
    assert dice(logits, target.reshape(1, 1, 3)).item() == pytest.approx(expected, abs=1e-6)


def test_each_class_of_an_image_weighs_the_same_however_few_its_pixels(dice):
    target = torch.ones(1, 10, 10, dtype=torch.int64)
    target[0, 0, 0] = 4
    logits = torch.zeros(1, 5, 10, 10)
    logits[:, 1] = 50.0  # right but for the one pixel of class 4
    assert dice(logits, target).item() == pytest.approx(0.5, abs=0.01)


def test_images_without_a_labelled_pixel_leave_the_mean(dice):
    torch.manual_seed(0)
    logits, target = torch.randn(3, 5, 8, 8), torch.randint(0, 5, (3, 8, 8))
    expected = dice(logits, target)
    empty = torch.zeros(2, 8, 8, dtype=torch.int64)
    more = torch.randn(5, 5, 8, 8)
    more[:3] = logits
    assert dice(more, torch.cat([target, empty])).item() == pytest.approx(expected.item(), rel=1e-5)
