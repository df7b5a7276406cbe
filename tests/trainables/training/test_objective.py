from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainables.models.outputs import Outputs
from trainables.training.objective import Objective

# Two images of one row of two pixels, labels 0 (ignored) to 2.
MASKS = torch.tensor([[[0, 1]], [[2, 2]]])
IMAGES = torch.rand(2, 1, 1, 2)


class Given(nn.Module):
    """Gives these outputs, whatever the image, and remembers under which precision it was asked."""

    def __init__(self, outputs: Outputs):
        super().__init__()
        self.given, self.asked, self.autocast = outputs, [], []

    def outputs(self, images: torch.Tensor) -> Outputs:
        self.asked.append(images)
        self.autocast.append(torch.is_autocast_enabled("cpu"))
        return self.given


def constant(value: float) -> torch.Tensor:
    return torch.full((2, 3, 1, 2), value)


def first_logit(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """A loss that tells what it was computed on."""
    assert masks is MASKS
    return logits.flatten()[0]


def objective(*, auxiliary=(), background=None, ignored_label=0, loss=first_logit, bf16=False) -> Objective:
    outputs = Outputs(logits=constant(10.0), auxiliary=list(auxiliary), background=background)
    return Objective(Given(outputs), loss, ignored_label=ignored_label, bf16=bf16)


def test_without_more_outputs_it_is_the_loss_of_the_logits():
    computed = objective()
    assert computed(IMAGES, MASKS).tolist() == [10.0, 0.0]
    assert computed.model.asked == [IMAGES]


def test_auxiliary_heads_count_by_their_weights():
    # 10 + 0.5 * 2 + 0.25 * 8
    auxiliary = [(0.5, constant(2.0)), (0.25, constant(8.0))]
    assert objective(auxiliary=auxiliary)(IMAGES, MASKS).tolist() == [13.0, 0.0]


@pytest.mark.parametrize(("ignored_label", "ignored"), [(0, [1, 0, 0, 0]), (2, [0, 0, 1, 1]), (1, [0, 1, 0, 0])])
def test_the_background_network_tells_the_ignored_label_from_all_others(ignored_label, ignored):
    """Cross entropy of two classes, the mean over all pixels, whether they are ignored or not."""
    logits = torch.tensor([2.0, -1.0, 0.5, 3.0]).view(2, 1, 1, 2)
    right = [logit if is_it else -logit for logit, is_it in zip(logits.flatten().tolist(), ignored, strict=True)]
    expected = sum(math.log(1 + math.exp(-score)) for score in right) / 4
    for given in (logits, logits.bfloat16()):  # these numbers are the same in both
        total, found = objective(background=given, ignored_label=ignored_label)(IMAGES, MASKS)
        assert total == 10.0
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_model_computes_in_the_precision_that_was_asked_for_and_losses_in_full(bf16):
    in_losses = []

    def loss(logits, _):
        in_losses.append(torch.is_autocast_enabled("cpu"))
        return logits.flatten()[0]

    computed = objective(auxiliary=[(0.5, constant(2.0))], loss=loss, bf16=bf16)
    computed(IMAGES, MASKS)
    assert computed.model.autocast == [bf16]
    assert in_losses == [False, False]


def test_gradients_reach_every_output():
    logits, auxiliary, background = (constant(1.0).requires_grad_() for _ in range(3))
    outputs = Outputs(logits=logits, auxiliary=[(0.5, auxiliary)], background=background)
    Objective(Given(outputs), first_logit, ignored_label=0, bf16=False)(IMAGES, MASKS).sum().backward()
    assert logits.grad.sum() == 1.0
    assert auxiliary.grad.sum() == 0.5
    assert background.grad[:, 0].all()


def with_presence(presence, ignored_label=0):
    outputs = Outputs(logits=constant(10.0), auxiliary=[], presence=presence)
    return Objective(Given(outputs), first_logit, ignored_label=ignored_label, bf16=False)


def softplus(value: float) -> float:
    return math.log(1 + math.exp(value))


def test_the_class_head_tells_which_scored_classes_an_image_shows():
    """The first image shows 1, the second 2; the ignored class is nobody's business."""
    presence = torch.tensor([[5.0, 2.0, -1.0], [7.0, 0.5, 3.0]])
    expected = (softplus(-2.0) + softplus(-1.0) + softplus(0.5) + softplus(-3.0)) / 4
    total, other = with_presence(presence)(IMAGES, MASKS)
    assert total == 10.0
    assert other.item() == pytest.approx(0.2 * expected)
    first = softplus(-5.0) + softplus(-2.0) + softplus(-1.0)  # where nothing is ignored it shows 0 as well
    second = softplus(7.0) + softplus(0.5) + softplus(-3.0)
    found = with_presence(presence, ignored_label=None)(IMAGES, MASKS)[1]
    assert found.item() == pytest.approx(0.2 * (first + second) / 6)


def test_an_image_without_a_label_says_nothing_and_counts_in_the_mean():
    presence = torch.tensor([[5.0, 2.0, -1.0], [7.0, 0.5, 3.0]], requires_grad=True)
    computed = with_presence(presence)
    nothing = torch.tensor([[[0, 1]], [[0, 0]]])
    computed.loss = lambda logits, masks: logits.flatten()[0]
    found = computed(IMAGES, nothing)[1]
    assert found.item() == pytest.approx(0.2 * (softplus(-2.0) + softplus(-1.0)) / 4)
    found.backward()
    assert (presence.grad[1] == 0).all()
    assert (presence.grad[:, 0] == 0).all()
