"""Losses against formulas written down a second time; `losses/` holds more of them, and values worked out by hand."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch

from trainables.data import MARS
from trainables.losses import LOSSES, LossTask, build_loss
from trainables.losses.boundary import signed_distances
from trainables.losses.config import LossConfig
from trainables.losses.cross_entropy import class_weights
from trainables.losses.lovasz import jaccard_steps

COUNTS = np.array([500, 800, 150, 40, 10])


def make(name: str, described=MARS, *, term_weights=None, learn_ignored=False, **parameters):
    config = LossConfig(name=name, term_weights=term_weights, learn_ignored=learn_ignored, parameters=parameters)
    return build_loss(config, described=described, pixel_counts=COUNTS)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(3, 5, 8, 6), torch.randint(0, 5, (3, 8, 6))


@pytest.fixture
def three_pixels():
    """Probabilities by hand: labels 1 and 2, and an ignored pixel."""
    p = torch.tensor([[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.2, 0.5, 0.1, 0.1], [0.0, 0.25, 0.25, 0.25, 0.25]])
    return p.clamp(min=1e-9).log().T.reshape(1, 5, 1, 3), torch.tensor([[[1, 2, 0]]])


class TestRegions:
    def test_jaccard_by_hand(self, three_pixels):
        # class 1: 0.6 / (0.6 + 0.2 + 1 - 0.6); class 2: 0.5 / (0.5 + 0.1 + 1 - 0.5); the others are not in the image
        expected = 1 - (0.6 / 1.2 + 0.5 / 1.1) / 2
        assert make("jaccard")(*three_pixels).item() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("alpha", [0.1, 0.3, 0.9])
    def test_tversky_by_hand(self, three_pixels, alpha):
        # class 1: TP 0.6, FP 0.2, FN 0.4; class 2: TP 0.5, FP 0.1, FN 0.5
        indices = [0.6 / (0.6 + alpha * 0.2 + (1 - alpha) * 0.4), 0.5 / (0.5 + alpha * 0.1 + (1 - alpha) * 0.5)]
        loss = make("tversky", alpha=alpha)
        assert loss(*three_pixels).item() == pytest.approx(1 - sum(indices) / 2, abs=1e-6)

    def test_with_equal_weights_tversky_is_dice(self, batch):
        torch.testing.assert_close(make("tversky", alpha=0.5)(*batch), make("dice")(*batch))

    @pytest.mark.parametrize("name", ["jaccard", "tversky"])
    def test_images_without_a_labelled_pixel_leave_the_mean(self, name, batch):
        logits, target = batch
        more = torch.cat([logits, torch.randn(2, *logits.shape[1:])])
        with_empty = torch.cat([target, torch.zeros(2, *target.shape[1:], dtype=torch.int64)])
        torch.testing.assert_close(make(name)(more, with_empty), make(name)(logits, target), rtol=1e-5, atol=0)


def lovasz_extension(errors: list[float], of_class: list[bool]) -> float:
    """Of the set function 1 - IoU, by its definition: one more wrong pixel at a time, the most wrong first."""

    def jaccard_loss(wrong: set[int]) -> float:
        members = {pixel for pixel, member in enumerate(of_class) if member}
        return len(wrong) / len(members | wrong) if wrong else 0.0

    most_wrong_first = sorted(range(len(errors)), key=lambda pixel: -errors[pixel])
    wrong: set[int] = set()
    total = 0.0
    for pixel in most_wrong_first:
        total += errors[pixel] * (jaccard_loss(wrong | {pixel}) - jaccard_loss(wrong))
        wrong.add(pixel)
    return total


class TestLovasz:
    def test_it_is_the_extension_by_its_definition_over_the_labelled_pixels_of_the_batch(self, batch):
        logits, target = batch
        target[target == 3] = 0  # a class that the batch does not hold
        p = logits.softmax(1).permute(0, 2, 3, 1)[target != 0].double().numpy()
        labels = target[target != 0].numpy()
        per_class = []
        for label in (1, 2, 4):
            of_class = labels == label
            errors = np.where(of_class, 1 - p[:, label], p[:, label])
            per_class.append(lovasz_extension(errors.tolist(), of_class.tolist()))
        assert make("lovasz_softmax")(logits, target).item() == pytest.approx(np.mean(per_class), abs=1e-6)

    @pytest.mark.parametrize("predicted", product((1, 2), repeat=4))
    def test_for_certain_predictions_it_is_one_minus_the_mean_iou(self, predicted):
        target, predicted = torch.tensor([1, 1, 1, 2]), torch.tensor(predicted)
        logits = 100.0 * torch.nn.functional.one_hot(predicted, 5).T.reshape(1, 5, 2, 2)
        ious = [
            ((target == label) & (predicted == label)).sum() / ((target == label) | (predicted == label)).sum()
            for label in (1, 2)
        ]
        loss = make("lovasz_softmax")(logits, target.reshape(1, 2, 2))
        assert loss.item() == pytest.approx(1 - sum(ious).item() / 2, abs=1e-6)

    def test_steps_are_the_differences_that_algorithm_1_takes(self):
        members = torch.rand(4, 50, generator=torch.Generator().manual_seed(0)) < 0.3
        members[3] = False
        size = members.sum(1, keepdim=True)
        loss = 1 - (size - members.cumsum(1)) / (size + (~members).cumsum(1))
        expected = torch.diff(loss, prepend=torch.zeros(4, 1))
        expected[3] = 0
        torch.testing.assert_close(jaccard_steps(members), expected, rtol=0, atol=1e-6)

    def test_steps_stay_exact_where_there_are_many_pixels(self):
        members = torch.arange(1_000_000).unsqueeze(0) < 500_000
        steps = jaccard_steps(members)
        assert (steps[0, :500_000] == np.float32(1 / 500_000)).all()
        assert (steps[0, 500_000:] == 0).all()


def brute_force_distance(mask: np.ndarray, label: int) -> np.ndarray:
    """To the nearest pixel on the other side of the class's boundary, half a pixel less, in larger sides."""
    pixels = list(np.ndindex(mask.shape))
    signed = np.zeros(mask.shape)
    for here in pixels:
        inside = mask[here] == label
        away = [
            np.hypot(here[0] - there[0], here[1] - there[1]) for there in pixels if (mask[there] == label) != inside
        ]
        signed[here] = (min(away) - 0.5) * (-1 if inside else 1)
    return signed / max(mask.shape)


class TestBoundary:
    def test_distances_are_those_of_brute_force(self):
        rng = np.random.default_rng(0)
        masks = np.repeat(np.repeat(rng.integers(0, 4, (3, 3, 4)), 3, axis=1), 2, axis=2)
        for mask in masks.astype(np.uint8):
            maps = signed_distances(mask, 5)
            for label in np.unique(mask):
                np.testing.assert_allclose(maps[label], brute_force_distance(mask, label), atol=1e-6)
            assert (maps[4] == 0).all()  # no image holds it

    def test_a_class_that_fills_its_image_is_a_whole_side_deep(self):
        maps = signed_distances(np.full((4, 8), 2, np.uint8), 3)
        assert (maps[2] == -1).all()
        assert (maps[:2] == 0).all()

    def test_no_distance_is_longer_than_the_larger_side(self):
        mask = np.zeros((20, 20), np.uint8)
        mask[0, 0] = 1
        maps = signed_distances(mask, 2)
        assert np.abs(maps).max() == 1
        assert maps[1, 0, 19] == pytest.approx((19 - 0.5) / 20)

    def test_it_is_the_papers_sum_but_for_a_constant(self, batch):
        logits, target = batch
        logits.requires_grad_()
        phi = torch.from_numpy(np.stack([signed_distances(mask, 5) for mask in target.numpy().astype(np.uint8)]))
        phi[:, 0] = 0  # the ignored label has no boundary of its own
        labelled = target != 0
        paper = (logits.softmax(1) * phi).sum(1)[labelled].mean()
        constant = phi.gather(1, target.unsqueeze(1)).squeeze(1)[labelled].mean()
        loss = make("boundary")(logits, target)
        torch.testing.assert_close(loss, paper - constant)
        gradients = [torch.autograd.grad(value, logits)[0] for value in (loss, paper)]
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)

    def test_by_hand(self):
        # Labels 1, 1, 2 and an unlabelled pixel in a row: each pixel predicted as every class alike.
        phi = {1: [-1.5, -0.5, 0.5, 1.5], 2: [1.5, 0.5, -0.5, 0.5]}
        costs = [sum(phi[label][i] for label in phi) / 5 - phi[own][i] for i, own in enumerate([1, 1, 2])]
        loss = make("boundary")(torch.zeros(1, 5, 1, 4), torch.tensor([[[1, 1, 2, 0]]]))
        assert loss.item() == pytest.approx(sum(costs) / 3 / 4)

    def test_a_mistake_far_from_the_class_costs_more_than_one_beside_it(self):
        target = torch.ones(1, 1, 16, dtype=torch.int64)
        target[..., :4] = 2

        def mistake(at: int) -> float:
            predicted = target.clone()
            predicted[..., at] = 2
            logits = 50.0 * torch.nn.functional.one_hot(predicted, 5).permute(0, 3, 1, 2)
            return make("boundary")(logits, target).item()

        assert mistake(15) > mistake(8) > mistake(4) > 0


class TestClassWeights:
    TASK = LossTask(described=MARS, pixel_counts=COUNTS)

    def test_no_class_weighs_more_than_the_cap_times_the_lightest(self):
        # Inverse frequencies relative to the lightest: 1, 5.33, 20, 80.
        weights = class_weights(self.TASK, 1.0, 10.0)
        assert (weights / weights[1]).tolist() == pytest.approx([0, 1, 800 / 150, 10, 10])

    def test_capped_weights_have_mean_one_over_the_training_pixels(self):
        weights = class_weights(self.TASK, 1.0, 10.0)
        assert (weights @ torch.from_numpy(COUNTS).float()).item() == pytest.approx(COUNTS[1:].sum())

    def test_a_cap_of_one_makes_all_weights_equal(self):
        assert class_weights(self.TASK, 2.0, 1.0).tolist() == pytest.approx([0, 1, 1, 1, 1])

    @pytest.mark.parametrize("cap", [None, 81.0])
    def test_a_cap_that_no_weight_reaches_changes_nothing(self, cap):
        assert torch.equal(class_weights(self.TASK, 1.0, cap), class_weights(self.TASK, 1.0))

    def test_the_loss_takes_the_cap_of_the_configuration(self, batch):
        capped = make("weighted_cross_entropy", class_weight_exponent=2.0, class_weight_cap=1.0)
        torch.testing.assert_close(capped(*batch), make("cross_entropy")(*batch))


class TestSums:
    def test_a_sum_is_the_weighted_sum_of_its_terms(self, batch):
        of_each = {
            "weighted_cross_entropy": {"class_weight_exponent": 1.0, "class_weight_cap": 4.0},
            "focal": {"gamma": 1.5},
            "tversky": {"alpha": 0.2},
            "batch_tversky": {"alpha": 0.2},
        }
        of_all = {key: value for parameters in of_each.values() for key, value in parameters.items()}
        weights = tuple(0.5 + index for index in range(len(LOSSES)))
        terms = [make(name, **of_each.get(name, {}))(*batch) for name in LOSSES]
        expected = sum(weight * term for weight, term in zip(weights, terms, strict=True))
        torch.testing.assert_close(make("+".join(LOSSES), term_weights=weights, **of_all)(*batch), expected)

    def test_terms_weigh_the_same_by_default(self, batch):
        expected = make("focal")(*batch) + make("dice")(*batch)
        torch.testing.assert_close(make("focal+dice")(*batch), expected)

    def test_an_unknown_term_is_refused_with_the_known_ones(self):
        config = LossConfig(name="focal+dice")
        object.__setattr__(config, "name", "focal+magic")
        with pytest.raises(ValueError, match=rf"unknown loss 'magic': must be one of {', '.join(LOSSES)}"):
            build_loss(config, described=MARS, pixel_counts=COUNTS)


class TestLearnIgnored:
    @pytest.mark.parametrize("name", [*LOSSES, "focal+dice"])
    def test_pixels_of_the_ignored_label_train_as_those_of_any_class(self, name, batch):
        logits, target = batch
        logits.requires_grad_()
        loss = make(name, learn_ignored=True)(logits, target)
        loss.backward()
        assert logits.grad.any(1).all()
        counting_all = make(name, dataclasses.replace(MARS, ignored_label=None))
        assert torch.equal(loss, counting_all(logits, target))

    def test_they_count_in_the_class_weights(self):
        torch.manual_seed(0)
        logits, target = torch.randn(1, 5, 1, 2), torch.tensor([[[0, 1]]])
        minus_log_p = -logits.log_softmax(1).flatten(2)[0].T
        weights = np.array([1 / 500, 1 / 800]) * COUNTS.sum() / len(COUNTS)
        expected = (weights[0] * minus_log_p[0, 0] + weights[1] * minus_log_p[1, 1]) / 2
        loss = make("weighted_cross_entropy", class_weight_exponent=1.0, learn_ignored=True)
        assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)
