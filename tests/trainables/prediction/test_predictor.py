from __future__ import annotations

import numpy as np
import torch
from torch import nn

from trainables.data.pixel_format import plain_format
from trainables.prediction.predictor import FLIPS, Predictor

PIXELS = plain_format(np.dtype(np.uint8))


class Sided(nn.Module):
    """Class 1 on the left half and 2 on the right, whatever the input: not symmetric."""

    def forward(self, x):
        logits = torch.zeros(len(x), 3, *x.shape[-2:])
        half = x.shape[-1] // 2
        logits[:, 1, :, :half] = 2
        logits[:, 2, :, half:] = 1
        logits[:, 0] = 5
        return logits


def run(model, images, **changes):
    arguments = {"pixels": PIXELS, "device": torch.device("cpu"), "bf16": False, "suppressed": 0} | changes
    return np.concatenate(
        list(Predictor(models=model if isinstance(model, list) else [model], **arguments).labels(images))
    )


def test_labels_come_in_order_and_batches_do_not_show():
    images = np.zeros((150, 4, 6), np.uint8)
    labels = run(Sided(), images)
    assert (labels.shape, labels.dtype) == ((150, 4, 6), np.uint8)
    assert (labels[..., :3] == 1).all()
    assert (labels[..., 3:] == 2).all()


def test_flips_average_probabilities():
    """The left half's class 1 is the surer one: averaged with its mirror image it wins everywhere."""
    assert (run(Sided(), np.zeros((2, 4, 6), np.uint8), flips=FLIPS) == 1).all()


def test_a_symmetric_model_is_not_changed_by_flips():
    model = nn.Conv2d(1, 3, 1)
    images = np.random.default_rng(0).integers(0, 255, (3, 5, 7), dtype=np.uint8)
    assert np.array_equal(run(model, images, flips=FLIPS), run(model, images))


def test_the_suppressed_label_only_shows_when_it_may():
    assert (run(Sided(), np.zeros((1, 4, 6), np.uint8), suppressed=None) == 0).all()
