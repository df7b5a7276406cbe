from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from trainables.losses import TrainingLoss
from trainables.prediction.ignored_class import suppress
from trainables.training.evaluation import evaluate


class Fixed(nn.Module):
    """Predicts labels that are functions of the pixel, whatever the weights."""

    def __init__(self, labels, num_classes):
        super().__init__()
        self.labels, self.num_classes = labels, num_classes

    def forward(self, images):
        predicted = self.labels(images[:, 0] * 255)
        return nn.functional.one_hot(predicted.long(), self.num_classes).movedim(-1, 1).float()


def score(model, data, part="val", **changes):
    return evaluate(model, data, data.split[part], device=torch.device("cpu"), bf16=False, **changes)


def by_brightness(pixels):
    return torch.clamp((pixels / 60).floor(), 0, 3)


def test_a_perfect_prediction_scores_one(tiny):
    scores = score(Fixed(by_brightness, 4), tiny)
    assert scores.mean_iou == 1
    assert scores.class_iou == {"low": 1, "middle": 1, "high": 1}


@pytest.mark.parametrize("constant", [1, 2, 3])
def test_scores_equal_counting_pixels_by_hand(constant, tiny):
    scores = score(Fixed(lambda pixels: torch.full_like(pixels, constant), 4), tiny)
    truth = np.asarray(tiny.masks[tiny.split["val"]])
    labelled = truth[truth != 0]
    expected = (labelled == constant).sum() / labelled.size
    assert scores.class_iou[tiny.description.class_names[constant]] == pytest.approx(expected)
    assert scores.mean_iou == pytest.approx(expected / 3)
    assert scores.confusion.sum() == labelled.size
    assert scores.confusion[:, constant].sum() == labelled.size


def test_predictions_of_the_ignored_class_are_never_made(tiny):
    """The second-best class is taken; here they are all equal, and the first scored one wins."""
    scores = score(Fixed(torch.zeros_like, 4), tiny)
    assert scores.confusion[:, 0].sum() == 0
    assert scores.confusion[:, 1].sum() == scores.confusion.sum()


def test_without_suppression_one_stray_prediction_of_the_ignored_class_is_an_empty_class_more(tiny):
    def stray(pixels):
        labels = by_brightness(pixels)
        first = (labels > 0).flatten().float().argmax()
        labels.view(-1)[first] = 0
        return labels

    scores = score(Fixed(stray, 4), tiny, suppressed=False)
    assert scores.class_iou["unlabelled"] == 0
    assert scores.mean_iou == pytest.approx(sum(scores.class_iou.values()) / 4)
    assert 0.7 < scores.mean_iou < 0.75
    truth = np.asarray(tiny.masks[tiny.split["val"]])
    assert scores.confusion[:, 0].sum() == 1
    assert scores.confusion.sum() == (truth != 0).sum()
    assert score(Fixed(by_brightness, 4), tiny, suppressed=False).mean_iou == 1


def test_suppression_leaves_the_logits_of_the_caller_alone():
    logits = torch.ones(1, 3, 2, 2)
    assert suppress(logits, 1)[:, 1].eq(-torch.inf).all()
    assert logits.eq(1).all()
    assert suppress(logits, None) is logits


def test_the_loss_is_the_mean_over_labelled_pixels(tiny):
    def one_a_pixel(logits, masks):
        return (masks == 1).float().sum() / (masks != 0).sum()

    scores = score(Fixed(by_brightness, 4), tiny, part="train", loss=TrainingLoss(function=one_a_pixel, ignore_index=0))
    truth = np.asarray(tiny.masks[tiny.split["train"]])
    assert scores.loss == pytest.approx((truth == 1).sum() / (truth != 0).sum())
    assert np.isnan(score(Fixed(by_brightness, 4), tiny).loss)
