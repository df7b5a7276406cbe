from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainables.data import MARS
from trainables.losses import build_loss
from trainables.losses.config import LossConfig


def focal(gamma: float):
    return build_loss(LossConfig(name="focal", parameters={"gamma": gamma}), described=MARS, pixel_counts=np.ones(5))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(2, 5, 6, 4), torch.randint(0, 5, (2, 6, 4))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_it_is_the_papers_formula_averaged_over_the_labelled_pixels(batch, gamma):
    logits, target = batch
    p_of_label = logits.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)[target != 0]
    torch.testing.assert_close(focal(gamma)(logits, target), (-((1 - p_of_label) ** gamma) * p_of_label.log()).mean())


def test_without_focusing_it_is_cross_entropy(batch):
    torch.testing.assert_close(focal(0.0)(*batch), functional.cross_entropy(*batch, ignore_index=0))


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0, 2.0])
def test_a_certain_prediction_has_a_finite_gradient(gamma):
    # (1 - p)^gamma has an infinite slope at p = 1 for gamma below 1.
    target = torch.ones(1, 2, 2, dtype=torch.int64)
    logits = (functional.one_hot(target, 5).permute(0, 3, 1, 2) * 100.0).requires_grad_()
    focal(gamma)(logits, target).backward()
    assert logits.grad.isfinite().all()
