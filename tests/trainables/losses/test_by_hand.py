"""Every loss on two images of 2x2 pixels, three of the eight unlabelled, worked out by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from math import log

import numpy as np
import pytest
import torch

from trainables.data import DataDescription
from trainables.losses import LOSSES, LossTask, build_loss
from trainables.losses.config import LossConfig
from trainables.losses.cross_entropy import class_weights
from trainables.registry import Component

DESCRIBED = DataDescription(class_names=("unlabelled", "a", "b"), ignored_label=0)
COUNTS = np.array([900, 400, 100])
LABELS = torch.tensor([[[1, 2], [1, 0]], [[2, 2], [0, 0]]])
PROBABILITIES = torch.tensor(
    [
        [[[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], [[0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]],
        [[[0.2, 0.2, 0.6], [0.3, 0.3, 0.4]], [[0.5, 0.4, 0.1], [0.6, 0.2, 0.2]]],
    ]
)
LOGITS = PROBABILITIES.log().permute(0, 3, 1, 2)
OF_LABEL = (0.5, 0.7, 0.8, 0.6, 0.4)
"""The probabilities of the five labels, row by row: two of class a, then b, and so on."""


def value(name: str, logits: torch.Tensor = LOGITS, labels: torch.Tensor = LABELS, **fields: object) -> float:
    own = {key: fields.pop(key) for key in list(fields) if key not in ("term_weights", "learn_ignored")}
    config = LossConfig(name=name, parameters=own, **fields)
    loss = build_loss(config=config, described=DESCRIBED, pixel_counts=COUNTS)(logits, labels)
    assert loss.shape == ()
    return loss.item()


CROSS_ENTROPY = -(log(0.5) + log(0.7) + log(0.8) + log(0.6) + log(0.4)) / 5
# Over each image's labelled pixels. First image, class a: TP 1.3, FP 0.2, FN 0.7; b: TP 0.7, FP 0.4, FN 0.3.
# Second image, class b: TP 1, FP 0, FN 1; it holds no class a.
DICE = ((1 - 2.6 / 3.5) + (1 - 1.4 / 2.1)) / 4 + (1 - 2 / 3) / 2
JACCARD = ((1 - 1.3 / 2.2) + (1 - 0.7 / 1.4)) / 4 + (1 - 1 / 2) / 2


def test_cross_entropy():
    assert value("cross_entropy") == pytest.approx(CROSS_ENTROPY)


@pytest.mark.parametrize(
    ("parameters", "of_a", "of_b"),
    [
        # Proportional to 400^-e and 100^-e, and 400 of_a + 100 of_b = 500.
        ({"class_weight_exponent": 0.0}, 1.0, 1.0),
        ({}, 5 / 6, 5 / 3),
        ({"class_weight_exponent": 1.0}, 0.625, 2.5),
        ({"class_weight_exponent": 2.0}, 0.25, 4.0),
        ({"class_weight_exponent": 1.0, "class_weight_cap": 2.0}, 5 / 6, 5 / 3),
        ({"class_weight_exponent": 1.0, "class_weight_cap": 4.0}, 0.625, 2.5),
    ],
)
def test_weighted_cross_entropy(parameters, of_a, of_b):
    expected = -(of_a * (log(0.5) + log(0.8)) + of_b * (log(0.7) + log(0.6) + log(0.4))) / 5
    assert value("weighted_cross_entropy", **parameters) == pytest.approx(expected)


def test_class_weights():
    task = LossTask(described=DESCRIBED, pixel_counts=COUNTS)
    weights = class_weights(task, 1.0)
    assert weights.dtype == torch.float32
    assert weights.tolist() == [0, 0.625, 2.5]
    assert class_weights(task, 1.0, 2.0).tolist() == pytest.approx([0, 5 / 6, 5 / 3])
    everything = LossTask(described=dataclasses.replace(DESCRIBED, ignored_label=None), pixel_counts=COUNTS)
    # 1400 / 3 pixels a class: 1400 / 3 / 900 and so on.
    assert class_weights(everything, 1.0).tolist() == pytest.approx([14 / 27, 7 / 6, 14 / 3])
    absent = LossTask(described=DESCRIBED, pixel_counts=np.array([900, 400, 0]))
    assert class_weights(absent, 1.0, 3.0).tolist() == [0, 1, 0]


def test_a_single_training_pixel_is_enough_for_weights():
    task = LossTask(described=DESCRIBED, pixel_counts=np.array([900, 0, 1]))
    assert class_weights(task, 0.5).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("parameters", "gamma"), [({}, 2), ({"gamma": 0.0}, 0), ({"gamma": 1.0}, 1), ({"gamma": 3.0}, 3)]
)
def test_focal(parameters, gamma):
    expected = sum(-((1 - p) ** gamma) * log(p) for p in OF_LABEL) / 5
    assert value("focal", **parameters) == pytest.approx(expected)


def test_dice():
    assert value("dice") == pytest.approx(DICE)


def test_jaccard():
    assert value("jaccard") == pytest.approx(JACCARD)


@pytest.mark.parametrize(("parameters", "alpha"), [({}, 0.3), ({"alpha": 0.5}, 0.5), ({"alpha": 0.9}, 0.9)])
def test_tversky(parameters, alpha):
    beta = 1 - alpha
    first = (1 - 1.3 / (1.3 + alpha * 0.2 + beta * 0.7)) + (1 - 0.7 / (0.7 + alpha * 0.4 + beta * 0.3))
    assert value("tversky", **parameters) == pytest.approx(first / 4 + (1 - 1 / (1 + beta)) / 2)


def test_lovasz_softmax():
    # Over the five pixels of the batch. Class a, worst first: a missed pixel (0.5) takes 1 - IoU from 0 to 1/2, one
    # taken for it (0.3) to 2/3, the other missed one (0.2) to 1. Class b: its three pixels first, a third each.
    of_a = 0.5 / 2 + 0.3 / 6 + 0.2 / 3
    of_b = (0.6 + 0.4 + 0.3) / 3
    assert value("lovasz_softmax") == pytest.approx((of_a + of_b) / 2)


def test_boundary():
    # Signed distances in sides of 2 pixels. First image, class a: 1/4 on either side of the line between the columns.
    # Class b: -1/4 in its own pixel, (sqrt(2) - 1/2) / 2 in the one across. Second image, class b: -1/4 in its row.
    # The ignored class, and one that is not there, have 0 everywhere. Each pixel costs sum_c p_c (phi_c - phi_label).
    first = (0.2 * 0.25 + 0.3 * 0.5) + (0.1 * 0.25 + 0.2 * 0.5) + (0.1 * 0.25 + 0.1 * math.sqrt(2) / 2)
    second = (0.2 + 0.2) * 0.25 + (0.3 + 0.3) * 0.25
    assert value("boundary") == pytest.approx((first + second) / 5)


def test_sums_weigh_their_terms_in_the_order_of_their_names():
    assert value("dice+cross_entropy") == pytest.approx(DICE + CROSS_ENTROPY)
    weighted = value("dice+cross_entropy+jaccard", term_weights=(0.25, 2.0, 3.0))
    assert weighted == pytest.approx(0.25 * DICE + 2 * CROSS_ENTROPY + 3 * JACCARD)


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky"])
def test_regions_are_scored_image_by_image(name):
    of_each = [value(name, LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(2)]
    assert value(name) == pytest.approx(sum(of_each) / 2)


@pytest.mark.parametrize("name", ["cross_entropy", "weighted_cross_entropy", "focal", "boundary"])
def test_pixels_weigh_the_same_in_whichever_image_they_are(name):
    of_each = [value(name, LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(2)]
    assert value(name) == pytest.approx((3 * of_each[0] + 2 * of_each[1]) / 5)


def test_lovasz_is_scored_over_the_batch_as_one_image():
    as_one = value("lovasz_softmax", torch.cat(list(LOGITS), dim=1)[None], torch.cat(list(LABELS))[None])
    assert value("lovasz_softmax") == pytest.approx(as_one)
    of_each = [value("lovasz_softmax", LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(2)]
    assert value("lovasz_softmax") != pytest.approx(sum(of_each) / 2)


def test_the_unlabelled_is_learned_where_the_configuration_says_so():
    more = -(log(0.3) + log(0.5) + log(0.6))
    assert value("cross_entropy", learn_ignored=True) == pytest.approx((5 * CROSS_ENTROPY + more) / 8)
    # Now the pixels beside it count as well. First image: 0 has TP 0.3, FP 0.4, FN 0.7; a: FP 0.5; b: FP 0.8. Second
    # one: 0 has TP 1.1, FP 0.5, FN 0.9; b: TP 1, FP 0.3, FN 1.
    first = (1 - 0.6 / 1.7) + (1 - 2.6 / 3.8) + (1 - 1.4 / 2.5)
    second = (1 - 2.2 / 3.6) + (1 - 2 / 3.3)
    assert value("dice", learn_ignored=True) == pytest.approx(first / 6 + second / 4)


def test_what_a_loss_knows_is_given_by_name_and_counts_labelled_pixels():
    task = LossTask(described=DESCRIBED, pixel_counts=COUNTS)
    assert task.ignore_index == 0
    assert [task.labelled_pixels(labels).item() for labels in (LABELS, LABELS[:1], 0 * LABELS)] == [5, 3, 1]
    with pytest.raises(TypeError):
        LossTask(DESCRIBED, COUNTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.described = DESCRIBED
    with pytest.raises(TypeError):
        build_loss(LossConfig(), DESCRIBED, COUNTS)


def test_a_term_sees_single_precision_and_no_autocast(monkeypatch):
    seen = []

    def spy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((logits.dtype, torch.is_autocast_enabled("cpu")))
        return logits.sum()

    monkeypatch.setitem(LOSSES, "dice", Component(lambda task: spy))
    with torch.autocast("cpu", torch.bfloat16):
        value("dice", LOGITS.bfloat16())
    assert seen == [(torch.float32, False)]


def test_class_weights_are_computed_in_double_precision():
    counts = [900, 123_456_789, 12_345_679, 1_234_577, 70_001, 3_333]
    described = DataDescription(class_names=tuple("uabcde"), ignored_label=0)
    exact = np.array(counts[1:], np.float64) ** -0.7
    exact *= sum(counts[1:]) / (exact @ counts[1:])
    weights = class_weights(LossTask(described=described, pixel_counts=np.array(counts)), 0.7)
    assert weights[1:].tolist() == exact.astype(np.float32).tolist()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "boundary"])
def test_it_stays_on_the_device_of_its_logits(name, monkeypatch):
    """The meta device computes shapes only, refuses tensors of another device, and knows no autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    loss = build_loss(LossConfig(name=name), described=DESCRIBED, pixel_counts=COUNTS)
    assert loss(LOGITS.to("meta"), LABELS.to("meta")).device.type == "meta"
