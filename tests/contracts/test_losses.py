"""What every loss, and a sum of losses, must do. A new registry entry is tested as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainables.data import DataDescription
from trainables.losses import LOSSES, build_loss
from trainables.losses.config import LossConfig

CLASSES = ("unlabelled", "a", "b", "c", "rare")
IGNORING = DataDescription(class_names=CLASSES, ignored_label=0)
COUNTING_ALL = DataDescription(class_names=CLASSES, ignored_label=None)
COUNTS = np.array([300, 400, 200, 95, 5])

every_loss = pytest.mark.parametrize("name", [*LOSSES, "focal+dice"])


def make(name: str, described: DataDescription = IGNORING, counts: np.ndarray = COUNTS):
    return build_loss(LossConfig(name=name), described=described, pixel_counts=counts)


def logits_and_target(lowest_label: int = 0, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, len(CLASSES), 9, 12, generator=generator)
    target = torch.randint(lowest_label, len(CLASSES), (images, 9, 12), generator=generator)
    return logits, target


def certain(target: torch.Tensor, margin: float) -> torch.Tensor:
    """Logits that say the target by that margin."""
    return functional.one_hot(target, len(CLASSES)).permute(0, 3, 1, 2) * float(margin)


@every_loss
@pytest.mark.parametrize("described", [IGNORING, COUNTING_ALL], ids=["ignoring", "counting all"])
def test_a_better_prediction_has_a_lower_loss_of_at_least_zero(name, described):
    loss = make(name, described)
    _, target = logits_and_target()
    losses = [loss(certain(target, margin), target).item() for margin in (-2, 0, 2, 5, 30)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == len(losses)
    assert losses[-1] == pytest.approx(0, abs=1e-5)
    assert min(losses) > -1e-6


@every_loss
def test_an_ignored_pixel_has_exactly_zero_gradient_and_others_have_some(name):
    logits, target = logits_and_target()
    logits.requires_grad_()
    make(name)(logits, target).backward()
    gradient_nhwc = logits.grad.permute(0, 2, 3, 1)
    assert (gradient_nhwc[target == 0] == 0).all()
    assert gradient_nhwc[target != 0].any(-1).all()


@every_loss
def test_pixels_that_do_not_count_are_left_out_where_no_label_is_ignored(name):
    logits, target = logits_and_target()
    other = logits + 50 * torch.randn_like(logits) * (target == 0).unsqueeze(1)
    left_out = target.where(target != 0, COUNTING_ALL.ignore_index)
    loss = make(name, COUNTING_ALL)
    assert loss(other, left_out).item() == pytest.approx(loss(logits, left_out).item(), rel=1e-6)
    assert loss(logits, torch.full_like(target, COUNTING_ALL.ignore_index)).item() == pytest.approx(0, abs=1e-5)


@every_loss
def test_what_is_predicted_on_ignored_pixels_changes_nothing(name):
    logits, target = logits_and_target()
    other = logits + 50 * torch.randn_like(logits) * (target == 0).unsqueeze(1)
    loss = make(name)
    assert loss(other, target).item() == pytest.approx(loss(logits, target).item(), rel=1e-6)


@every_loss
def test_where_nothing_is_ignored_it_is_the_unmasked_loss(name):
    logits, target = logits_and_target(lowest_label=1)
    counts = COUNTS * (np.arange(5) > 0)
    ignoring, counting_all = make(name, IGNORING, counts), make(name, COUNTING_ALL, counts)
    assert ignoring(logits, target).item() == pytest.approx(counting_all(logits, target).item(), rel=1e-6)


@every_loss
def test_a_batch_without_a_labelled_pixel_gives_zero_with_zero_gradient(name):
    logits, target = logits_and_target()
    logits.requires_grad_()
    loss = make(name)(logits, torch.zeros_like(target))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@every_loss
def test_without_an_ignored_label_every_pixel_counts(name):
    logits, target = logits_and_target()
    logits.requires_grad_()
    make(name, COUNTING_ALL)(logits, target).backward()
    assert logits.grad.any(1).all()


@every_loss
@pytest.mark.parametrize("label", [1, 4])
def test_a_batch_with_a_single_class_is_finite(name, label):
    logits, target = logits_and_target()
    logits.requires_grad_()
    loss = make(name)(logits, torch.full_like(target, label))
    loss.backward()
    assert loss.item() > 0
    assert logits.grad.isfinite().all()


@every_loss
def test_a_class_that_no_training_mask_holds_may_still_appear(name):
    logits, target = logits_and_target()
    logits.requires_grad_()
    loss = make(name, counts=COUNTS * (np.arange(5) != 4))(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("margin", [-1e4, 1e4])
def test_saturated_logits_give_finite_gradients(name, margin):
    _, target = logits_and_target()
    logits = certain(target, margin).requires_grad_()
    loss = make(name)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
def test_memory_layout_does_not_matter(name):
    logits, target = logits_and_target()
    loss = make(name)
    expected = loss(logits, target).item()
    assert loss(logits.contiguous(memory_format=torch.channels_last), target).item() == pytest.approx(expected)
    larger = torch.zeros(3, 5, 16, 16)
    larger[..., :9, :12] = logits
    assert loss(larger[..., :9, :12], target).item() == pytest.approx(expected)


@every_loss
def test_it_is_computed_in_fp32_under_bf16_autocast(name):
    logits, target = logits_and_target()
    loss, logits = make(name), logits.bfloat16()
    expected = loss(logits.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        result = loss(logits, target)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


@every_loss
def test_the_gradient_is_the_slope(name):
    logits, target = logits_and_target(images=1)
    loss = make(name)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    loss(logits, target).backward()
    step = 2e-3  # small: the Lovasz loss has a kink wherever two pixels are equally wrong
    slope = (loss(logits + step * direction, target) - loss(logits - step * direction, target)) / (2 * step)
    assert (logits.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-2, abs=1e-4)


def test_an_unknown_name_is_refused_with_the_known_ones():
    config = LossConfig()
    object.__setattr__(config, "name", "magic")
    with pytest.raises(ValueError, match=rf"unknown loss 'magic': must be one of {', '.join(LOSSES)}"):
        build_loss(config, described=IGNORING, pixel_counts=COUNTS)
