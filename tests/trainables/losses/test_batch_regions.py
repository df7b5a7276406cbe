"""Region losses with all pixels of a batch as one set, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.data import DataDescription
from trainables.losses import build_loss
from trainables.losses.config import LossConfig

DESCRIBED = DataDescription(class_names=("void", "a", "b", "rare"), ignored_label=0)


def make(name="batch_tversky", counts=(0, 5, 5, 1), **parameters):
    return build_loss(LossConfig(name=name, parameters=parameters), described=DESCRIBED, pixel_counts=np.array(counts))


def logits_of(*pixels):
    """(N, 4, 1, W) logits with these probabilities, of images of pixels."""
    return torch.tensor(pixels).log().movedim(-1, 1).unsqueeze(2)


# Two images of two pixels; b is in the second alone, and nowhere is a rare one.
LOGITS = logits_of(
    [[0.1, 0.6, 0.2, 0.1], [0.2, 0.5, 0.1, 0.2]],
    [[0.0001, 0.2, 0.7, 0.0999], [0.25, 0.25, 0.25, 0.25]],
)
MASKS = torch.tensor([[[1, 1]], [[2, 0]]])


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_the_index_is_one_over_the_whole_batch(alpha):
    def index(hits, false_positives, false_negatives):
        return (hits + 1) / (hits + alpha * false_positives + (1 - alpha) * false_negatives + 1)

    a = index(1.1, 0.2, 0.9)
    b = index(0.7, 0.3, 0.3)
    rare = index(0.0, 0.1 + 0.2 + 0.0999, 0.0)
    expected = 1 - (a + b + rare) / 3
    assert make(alpha=alpha)(LOGITS, MASKS).item() == pytest.approx(expected, rel=1e-5)
    if alpha == 0.5:
        assert make("batch_dice")(LOGITS, MASKS).item() == pytest.approx(expected, rel=1e-5)


def test_a_class_that_training_never_draws_does_not_count():
    a, b = (2.1 / (1.1 + 0.55 + 1), 1.7 / (0.7 + 0.3 + 1))
    assert make("batch_dice", (0, 5, 5, 0))(LOGITS, MASKS).item() == pytest.approx(1 - (a + b) / 2, rel=1e-5)


def test_predicting_a_class_that_the_batch_lacks_costs():
    """Which the losses image by image do not say."""
    more = LOGITS.clone()
    more[:, 3] += math.log(3)
    for name, costs in (("batch_tversky", True), ("batch_dice", True)):
        logits = LOGITS.clone().requires_grad_()
        make(name)(logits, MASKS).backward()
        assert (logits.grad[0, 3] > 0).all() == costs
    assert make()(more, MASKS) > make()(LOGITS, MASKS)


def test_a_rare_class_is_pooled_over_images():
    """Half of its pixels found is half, in whichever images they are."""
    found, missed = [0.0001, 0.0001, 0.0001, 0.9997], [0.0001, 0.9997, 0.0001, 0.0001]
    one = logits_of([found, missed], [found, missed])
    other = logits_of([found, found], [missed, missed])
    masks = torch.full((2, 1, 2), 3)
    loss = make("batch_dice")
    assert loss(one, masks).item() == pytest.approx(loss(other, masks).item(), rel=1e-5)
