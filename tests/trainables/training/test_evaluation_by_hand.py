"""Scores of predictions that are written into the images, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.made.numbered import HandMade
from trainables import distributed
from trainables.losses import TrainingLoss
from trainables.training import evaluation
from trainables.training.evaluation import evaluate

# 0 is ignored. The confusion matrix of labelled pixels (rows truth 1, 2, 3; columns prediction 1, 2, 3):
#   truth 1: 3 pixels, predicted 1, 2, 1 -> 2 1 0
#   truth 2: 3 pixels, predicted 2, 2, 1 -> 1 2 0
#   truth 3: none, never predicted
TRUTH = [[[1, 1, 2, 0]], [[2, 2, 0, 0]], [[1, 0, 0, 0]]]
PREDICTED = [[[1, 2, 2, 3]], [[2, 1, 1, 2]], [[1, 3, 3, 3]]]
CONFUSION = [[0, 0, 0, 0], [0, 2, 1, 0], [0, 1, 2, 0], [0, 0, 0, 0]]
ALL = np.arange(3)


class Shown(nn.Module):
    """Predicts the label that the pixel shows, 1 more likely than all others."""

    def __init__(self, classes: int = 4):
        super().__init__()
        self.classes = classes
        self.asked: list[dict[str, object]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.asked.append(
            {
                "images": len(images),
                "training": self.training,
                "autocast": torch.is_autocast_enabled("cpu"),
                "inference": torch.is_inference_mode_enabled(),
            }
        )
        return nn.functional.one_hot(images[:, 0].long(), self.classes).movedim(-1, 1).float()


def score(data, indices=ALL, model=None, **arguments):
    arguments = {"device": torch.device("cpu"), "bf16": False} | arguments
    return evaluate(model or Shown(), data, indices, **arguments)


def constant(value: float, ignore_index: int = 0) -> TrainingLoss:
    return TrainingLoss(function=lambda *_: torch.tensor(value), ignore_index=ignore_index)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_intersection_over_union_is_that_of_all_batches_together(batch, monkeypatch):
    monkeypatch.setattr(evaluation, "at_once", lambda size: batch)
    model = Shown()
    scores = score(HandMade(TRUTH, PREDICTED), model=model)
    assert [asked["images"] for asked in model.asked] == {1: [1, 1, 1], 2: [2, 1], 64: [3]}[batch]
    assert scores.confusion.tolist() == CONFUSION
    # 2 right of 3 that are it and 3 that were taken for it, 1 of each is wrong; class 3 is nowhere
    assert scores.class_iou == {"class 1": 0.5, "class 2": 0.5}
    assert scores.mean_iou == 0.5
    assert math.isnan(scores.loss)


def test_each_class_counts_alike_however_few_pixels_it_has():
    # class 1: 4 of 5, class 2: 1 of 2
    scores = score(HandMade([[[1, 1, 1, 1, 2, 2]]], [[[1, 1, 1, 1, 1, 2]]]), np.arange(1))
    assert scores.class_iou == pytest.approx({"class 1": 0.8, "class 2": 0.5})
    assert scores.mean_iou == pytest.approx(0.65)


def test_only_the_given_images_are_scored():
    scores = score(HandMade(TRUTH, PREDICTED), np.array([2]))
    assert scores.confusion.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert scores.class_iou == {"class 1": 1.0}


def test_rows_are_truth_and_columns_prediction():
    scores = score(HandMade([[[1, 1, 1]]], [[[2, 2, 3]]]), np.arange(1))
    assert scores.confusion.tolist() == [[0, 0, 0, 0], [0, 0, 2, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_class_that_these_masks_lack_is_no_class_but_taking_something_for_it_is_wrong():
    """Whether other masks of the data hold it or not: all models are scored over the same classes."""
    for present in ((1, 2), (1, 2, 3)):
        scores = score(HandMade([[[1, 1]]], [[[1, 3]]], present=present), np.arange(1))
        assert scores.class_iou == {"class 1": 0.5}
        assert scores.mean_iou == 0.5
        assert scores.confusion[1].tolist() == [0, 1, 0, 1]


def test_masks_without_a_labelled_pixel_have_no_score_and_no_loss():
    scores = score(HandMade([[[0, 0]]], [[[1, 0]]]), np.arange(1), loss=constant(0.0))
    assert scores.class_iou == {}
    assert math.isnan(scores.mean_iou)
    assert math.isnan(scores.loss)
    assert not scores.confusion.any()


def test_the_ignored_class_counts_only_where_it_may_be_predicted_and_is():
    data = HandMade([[[1, 2, 0, 0]]], [[[1, 0, 0, 1]]])
    scores = score(data, np.arange(1))  # all other classes are equally likely for the second pixel: the first is taken
    assert scores.class_iou == {"class 1": 0.5, "class 2": 0.0}
    assert scores.confusion[2].tolist() == [0, 1, 0, 0]
    scores = score(data, np.arange(1), suppressed=False)
    assert scores.class_iou == {"class 0": 0.0, "class 1": 1.0, "class 2": 0.0}
    assert scores.confusion.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_an_ignored_label_that_is_not_the_first():
    data = HandMade([[[0, 1, 2, 2]]], [[[0, 2, 0, 0]]], ignored_label=2, classes=3)
    scores = score(data, np.arange(1))  # the second pixel's label is suppressed: class 0 comes first
    assert scores.class_iou == {"class 0": 0.5, "class 1": 0.0}
    scores = score(data, np.arange(1), suppressed=False)
    assert scores.class_iou == {"class 0": 1.0, "class 1": 0.0, "class 2": 0.0}
    assert scores.mean_iou == 1 / 3


@pytest.mark.parametrize("suppressed", [True, False])
def test_where_no_label_is_ignored_every_pixel_counts(suppressed):
    data = HandMade([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], ignored_label=None, classes=2)
    scores = score(data, np.arange(1), model=Shown(2), suppressed=suppressed, loss=constant(3.0, -100))
    assert scores.class_iou == pytest.approx({"class 0": 1 / 2, "class 1": 2 / 3})
    assert scores.confusion.tolist() == [[1, 1], [0, 2]]
    assert scores.loss == 3.0


def test_the_loss_of_a_batch_counts_by_its_labelled_pixels(monkeypatch):
    """3, 2 and 1 labelled pixels; a float of 32 bits does not hold the sum."""
    monkeypatch.setattr(evaluation, "at_once", lambda size: 1)
    losses, seen = iter([2.0**24, 1.0, 4.0]), []

    def loss(logits, masks):
        seen.append((logits.clone(), masks.clone()))
        return torch.tensor(next(losses))

    scores = score(HandMade(TRUTH, PREDICTED), loss=TrainingLoss(function=loss, ignore_index=0))
    assert scores.loss == (3 * 2**24 + 2 * 1 + 1 * 4) / 6
    for (logits, masks), truth in zip(seen, TRUTH, strict=True):
        assert logits.isfinite().all()  # the loss knows nothing of suppression
        assert masks.tolist() == [truth]


def test_a_loss_that_learns_the_ignored_label_counts_by_all_pixels(monkeypatch):
    """4 pixels a batch, of which 3, 2 and 1 are labelled."""
    monkeypatch.setattr(evaluation, "at_once", lambda size: 1)
    losses = iter([1.0, 2.0, 6.0])
    learnt = TrainingLoss(function=lambda *_: torch.tensor(next(losses)), ignore_index=-100)
    assert score(HandMade(TRUTH, PREDICTED), loss=learnt).loss == 3.0


@pytest.mark.parametrize("bf16", [False, True])
def test_the_model_is_asked_in_evaluation_mode_without_gradients(bf16):
    model = Shown().train()
    in_loss = []

    def loss(*_):
        in_loss.append(torch.is_autocast_enabled("cpu"))
        return torch.tensor(0.0)

    score(HandMade(TRUTH, PREDICTED), model=model, bf16=bf16, loss=TrainingLoss(function=loss, ignore_index=0))
    assert model.asked == [{"images": 3, "training": False, "autocast": bf16, "inference": True}]
    assert in_loss == [False]
    assert not model.training


def test_each_rank_scores_its_part_and_all_have_the_sum(monkeypatch):
    """Rank 1 of 2 has the second image; what the other one has is added."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    others = {(2,): torch.tensor([30.0, 4.0], dtype=torch.float64), (4, 4): torch.eye(4, dtype=torch.int64)}
    monkeypatch.setattr(distributed, "all_sum", lambda values: values + others[tuple(values.shape)])
    scores = score(HandMade(TRUTH, PREDICTED), loss=constant(3.0))
    assert scores.confusion.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 1]]
    assert scores.loss == (30 + 3 * 2) / (4 + 2)


@pytest.mark.parametrize(("world", "rank", "images"), [(3, 2, [1]), (4, 3, []), (9, 8, [])])
def test_fewer_images_than_ranks_score_one_each_and_the_others_none(world, rank, images, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed, "all_sum", lambda values: values)
    model = Shown()
    scores = score(HandMade(TRUTH, PREDICTED), model=model, loss=constant(3.0))
    assert [asked["images"] for asked in model.asked] == images
    assert scores.confusion.sum() == len(images)


@pytest.mark.parametrize("crop", [(1, 4), (1, 3), (1, 1), (1, 2), (2, 4), (3, 7)])
@pytest.mark.parametrize("batch", [1, 64])
def test_each_pixel_of_a_tiled_image_counts_once(crop, batch, monkeypatch):
    monkeypatch.setattr(evaluation, "at_once", lambda size: batch)
    scores = score(HandMade(TRUTH, PREDICTED, crop=crop), loss=constant(2.0))
    assert scores.confusion.tolist() == CONFUSION
    assert scores.loss == 2.0


@pytest.mark.parametrize("crop", [(1, 3), (2, 5)])
def test_padding_counts_nowhere_also_if_no_label_is_ignored(crop):
    data = HandMade(TRUTH, PREDICTED, ignored_label=None, crop=crop)
    assert score(data).confusion.tolist() == score(HandMade(TRUTH, PREDICTED, ignored_label=None)).confusion.tolist()
    pixels = TrainingLoss(function=lambda _, masks: (masks >= 0).sum() / (masks >= 0).sum(), ignore_index=-100)
    assert score(data, loss=pixels).loss == 1.0


def test_the_loss_of_tiles_is_weighted_by_the_pixels_that_count():
    # The loss of a pixel is its label: (1 + 1 + 2 + 2 + 2 + 1) / 6 over those that are labelled.
    def mean_label(_: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return masks[masks != 0].double().mean().nan_to_num()

    loss = TrainingLoss(function=mean_label, ignore_index=0)
    assert score(HandMade(TRUTH, PREDICTED, crop=(1, 3)), loss=loss).loss == pytest.approx(1.5)
