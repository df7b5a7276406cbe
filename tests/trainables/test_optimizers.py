from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.config import OptimizerConfig
from trainables.optimizers import build_optimizer


def after_a_step(gradient: float, **fields) -> float:
    """A weight of 1 after one step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = build_optimizer(OptimizerConfig(**fields), model)
    model.weight.grad = torch.full((1, 1), gradient)
    optimizer.step()
    return model.weight.item()


def test_adamw_decays_beside_the_gradient_and_adam_through_it():
    # A first step of Adam is lr * sign(gradient), so a decay inside the gradient changes nothing.
    assert after_a_step(1.0, name="adamw", lr=0.1, weight_decay=0.5) == pytest.approx(1 * (1 - 0.1 * 0.5) - 0.1)
    assert after_a_step(1.0, name="adam", lr=0.1, weight_decay=0.5) == pytest.approx(1 - 0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_looks_ahead_by_its_momentum(momentum):
    # Nesterov's first step: gradient + momentum * gradient
    expected = 1 - 0.1 * 2.0 * (1 + momentum)
    assert after_a_step(2.0, name="sgd", lr=0.1, weight_decay=0.0, momentum=momentum) == pytest.approx(expected)


def test_a_model_of_weights_alone_has_one_group():
    optimizer = build_optimizer(OptimizerConfig(), nn.Linear(2, 2, bias=False))
    assert len(optimizer.param_groups) == 1
