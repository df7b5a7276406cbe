from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from reports.prediction import decision_choice
from reports.prediction.decision_choice import (
    FITS,
    OFFSETS,
    Pixels,
    ValidationPredictions,
    choose_decision,
    cross_fitted,
    folds_of,
)
from trainables.prediction.decision import PLAIN, Decision
from trainables.prediction.iou import mean_iou
from trainables.prediction.metric import MEAN_IOU

NAMES = ("void", "a", "b", "c")
SHAPE = (60, 16, 24)


def predictions(bias=(0.0, 0.0, 0.0), *, noise=1.0, images=60, seed=0, shares=(0.6, 0.37, 0.03)):
    """Of random masks that are seen with noise: what Bayes' rule says, but for a bias of each class. Some are void."""
    rng = np.random.default_rng(seed)
    masks = rng.choice([1, 2, 3], size=(images, *SHAPE[1:]), p=shares).astype(np.uint8)
    masks[:, :2] = 0
    seen = 2 * np.eye(4)[masks] + noise * rng.normal(size=(*masks.shape, 4))
    logits = 2 * seen + np.log([1, *shares]) + np.array([0, *bias])
    logits[..., 0] = -np.inf
    return ValidationPredictions(
        probabilities=torch.from_numpy(logits).float().softmax(-1).movedim(-1, 1).half(),
        masks=masks,
        rare=np.arange(images) % 7 == 0,
        names=NAMES,
        scored=(1, 2, 3),
        ignored=0,
        metric=MEAN_IOU,
    )


def test_void_pixels_count_nowhere():
    found = predictions(noise=0.0)
    assert found.decided(PLAIN).score() == 1.0
    assert found.decided(PLAIN).counts[:, 0].sum() == 0


@pytest.mark.parametrize("label", [1, 2, 3])
def test_one_histogram_holds_the_scores_of_all_offsets_of_a_class(label):
    found = predictions((0.3, -0.2, -0.5))
    pixels = Pixels(found)
    present = np.array([0.0, 0.2, -0.1, 0.4])
    scores = pixels.logs.copy()
    scores[:, 0] = -np.inf
    values = pixels._along(scores + present, label, present[label])
    for offset, value in zip(OFFSETS, values, strict=True):
        moved = present.copy()
        moved[label] = offset
        predicted = (scores + moved).argmax(1)
        counts = np.bincount(pixels.truth * 4 + predicted, minlength=16).reshape(4, 4)
        assert value == pytest.approx(mean_iou(counts, 0), abs=5e-4), offset


def test_offsets_take_a_bias_out_again():
    biased = predictions((0.0, 0.0, -1.5))
    fitted = FITS["offsets"](Pixels(biased))
    assert fitted.prior == fitted.smallest == 0
    _, a, b, c = fitted.offsets
    free = FITS["offsets"](Pixels(predictions()))
    without = free.offsets[3] - (free.offsets[1] + free.offsets[2]) / 2
    assert c - (a + b) / 2 - without == pytest.approx(1.5, abs=0.4)
    assert biased.decided(fitted).score() > biased.decided(PLAIN).score() + 0.05


def single_class_images(seed=0):
    """Each image shows one class, and its pixels are noisy: what the image shows elsewhere tells more."""
    found = predictions(images=60, seed=seed)
    masks = np.broadcast_to((np.arange(60) % 3 + 1)[:, None, None], SHAPE).astype(np.uint8)
    logits = 1.0 * np.eye(4)[masks] + np.random.default_rng(seed).normal(size=(*SHAPE, 4))
    logits[..., 0] = -np.inf
    probabilities = torch.from_numpy(logits).float().softmax(-1).movedim(-1, 1)
    return dataclasses.replace(found, masks=masks, probabilities=probabilities)


def test_the_prior_helps_where_images_show_one_class():
    found = single_class_images()
    fitted = FITS["prior"](Pixels(found))
    assert fitted.prior >= 1.0
    assert found.decided(fitted).score() > found.decided(PLAIN).score() + 0.2
    chosen = choose_decision(found)
    assert chosen.decision.prior >= 1.0
    assert chosen.gain.low > 0.1


def test_small_regions_go_where_they_are_noise():
    found = single_class_images()
    masks = np.ones(SHAPE, np.uint8)
    masks[:, :, 12:] = 2
    probabilities = torch.zeros(60, 4, *SHAPE[1:])
    probabilities[:, 1, :, :12] = probabilities[:, 2, :, 12:] = 0.9
    probabilities[:, 2, :, :12] = probabilities[:, 1, :, 12:] = 0.1
    probabilities[:, :, 4, 4] = torch.tensor([0.0, 0.4, 0.0, 0.6])  # a speck of class 3
    speckled = dataclasses.replace(found, masks=masks, probabilities=probabilities)
    fitted = FITS["offsets, prior and smallest region"](Pixels(speckled))
    assert speckled.decided(fitted).score() == 1.0


def test_what_is_tried_reaches_from_nothing_to_too_much():
    assert decision_choice.PRIORS == (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
    assert decision_choice.AREAS == (0, 1 / 1024, 1 / 512, 1 / 256, 1 / 128)
    assert decision_choice.OFFSETS.tolist() == [round(step / 10, 1) for step in range(-20, 21)]


def test_what_does_not_help_is_not_taken():
    """Well calibrated predictions: nothing is to be had, though on the same images each fit seems to gain."""
    taken = 0
    for seed in range(6):
        found = predictions(images=25, seed=seed, shares=(1 / 3, 1 / 3, 1 / 3))
        fitted = FITS["offsets"](Pixels(found))
        assert found.decided(fitted).score() >= found.decided(PLAIN).score()
        taken += choose_decision(found).kind != "plain"
    assert taken <= 2


def test_the_choice_is_fitted_on_all_images_and_its_score_is_cross_fitted():
    found = predictions((0.0, 0.0, -1.5))
    chosen = choose_decision(found)
    assert chosen.kind in FITS
    assert chosen.decision == FITS[chosen.kind](Pixels(found))
    crossed = cross_fitted(found)[chosen.kind]
    np.testing.assert_array_equal(chosen.validation.counts, crossed.counts)
    assert chosen.gain.value == pytest.approx(crossed.score() - found.decided(PLAIN).score())


def test_no_image_is_decided_by_what_was_fitted_on_it(monkeypatch):
    found = predictions(images=23)
    numbers = torch.arange(23).view(-1, 1, 1, 1)
    found = dataclasses.replace(found, probabilities=found.probabilities * 0 + numbers)
    seen = []

    class Noted(Decision):
        def labels(self, probabilities):
            own = set(probabilities[:, 0, 0, 0].int().tolist())
            seen.append((self.others, own))
            return torch.ones(len(probabilities), *SHAPE[1:], dtype=torch.int64)

    def fit(pixels):
        noted = Noted()
        object.__setattr__(noted, "others", {int(image[0, 0, 0]) for image in pixels.found.probabilities})
        return noted

    monkeypatch.setattr(decision_choice, "FITS", {"noted": fit})
    cross_fitted(found)
    assert len(seen) == 5
    assert all(not others & own and len(others | own) == 23 for others, own in seen)
    assert set.union(*(own for _, own in seen)) == set(range(23))


def test_the_offset_of_a_class_that_no_image_holds_is_not_fitted():
    found = predictions(shares=(0.6, 0.4, 1e-300))
    assert 3 not in found.masks
    assert Pixels(found).fit((0.0,)).offsets[3] == 0.0
    allowed = dataclasses.replace(found, scored=(0, 1, 2, 3))
    assert Pixels(allowed).fitted == (0, 1, 2)


def test_folds_share_rare_images_evenly():
    rare = np.zeros(52, bool)
    rare[[3, 9, 10, 11, 30, 31, 50]] = True
    folds = folds_of(rare)
    assert sorted(np.bincount(folds)) == [10, 10, 10, 11, 11]
    assert sorted(np.bincount(folds[rare], minlength=5)) == [1, 1, 1, 2, 2]
    np.testing.assert_array_equal(folds, folds_of(rare))


@pytest.mark.parametrize(
    ("images", "scored", "plain"), [(19, (1, 2, 3), True), (20, (1, 2, 3), False), (60, (1,), True)]
)
def test_with_few_images_or_one_class_nothing_is_fitted(images, scored, plain, monkeypatch):
    tried = []
    monkeypatch.setattr(decision_choice, "cross_fitted", lambda found: tried.append(found) or {})
    found = dataclasses.replace(predictions(images=images), scored=scored)
    assert choose_decision(found).kind == "plain"
    assert (tried == []) == plain


def test_large_parts_are_fitted_on_every_second_row_and_column(monkeypatch):
    found = predictions()
    monkeypatch.setattr(decision_choice, "MOST_VALUES", 4 * 60 * 16 * 24 // 4)
    assert len(Pixels(found).truth) == 60 * 7 * 12  # of 8 rows the first is void
    monkeypatch.setattr(decision_choice, "MOST_VALUES", 4 * 60 * 16 * 24)
    assert len(Pixels(found).truth) == 60 * 14 * 24
