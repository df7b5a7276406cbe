from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.models import build_model
from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.config import ModelConfig
from trainables.models.skips import SKIPS, AdaptiveFusion
from trainables.optim.optimizers import OptimizerConfig, build_optimizer


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
    assert after_a_step(2.0, name="sgd", lr=0.1, weight_decay=0.0, parameters={"momentum": momentum}) == pytest.approx(
        expected
    )


def test_a_model_of_weights_alone_has_one_group():
    optimizer = build_optimizer(OptimizerConfig(), nn.Linear(2, 2, bias=False))
    assert len(optimizer.param_groups) == 1


def test_adams_decay_is_added_to_the_gradient():
    # A first step is lr * sign(gradient + decay * weight): here the sign is the decay's.
    assert after_a_step(-0.1, name="adam", lr=0.1, weight_decay=0.5) == pytest.approx(1 - 0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sgd_goes_on_with_its_momentum(momentum):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    config = OptimizerConfig(name="sgd", lr=0.1, weight_decay=0.0, parameters={"momentum": momentum})
    optimizer = build_optimizer(config, model)
    for _ in range(2):
        model.weight.grad = torch.full((1, 1), 2.0)
        optimizer.step()
    # velocity 2, then 2 + momentum * 2; each step goes gradient + momentum * velocity
    expected = 1 - 0.1 * (2 + momentum * 2) - 0.1 * (2 + momentum * (2 + momentum * 2))
    assert model.weight.item() == pytest.approx(expected)


def test_weights_of_layers_come_first_and_decay_and_nothing_else_does():
    layers = [nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2), nn.Linear(2, 2)]
    norm, fused, scale = nn.BatchNorm2d(2), AdaptiveFusion(2), nn.Parameter(torch.zeros(()))
    model = nn.Sequential(*layers, norm, fused)
    model.register_parameter("scale", scale)
    first, second = build_optimizer(OptimizerConfig(lr=0.2, weight_decay=0.3), model).param_groups
    assert {id(parameter) for parameter in first["params"]} == {id(layer.weight) for layer in layers}
    others = [*(layer.bias for layer in layers), norm.weight, norm.bias, fused.weights, scale]
    assert {id(parameter) for parameter in second["params"]} == {id(parameter) for parameter in others}
    assert (first["weight_decay"], second["weight_decay"]) == (0.3, 0.0)


@pytest.mark.parametrize(
    "config",
    [
        *(ModelConfig(depth=2, width=4, skip=skip, deep_supervision=0.4) for skip in SKIPS),
        *(ModelConfig(depth=2, width=4, block=block, class_head="gate") for block in BLOCKS),
        *(ModelConfig(depth=2, width=4, bottleneck=bottleneck, background="joint") for bottleneck in BOTTLENECKS),
    ],
    ids=lambda config: f"{config.block}-{config.skip}-{config.bottleneck}",
)
def test_in_every_model_the_kernels_decay_and_nothing_else_does(config):
    model = build_model(config, in_channels=1, num_classes=4, ignored_label=0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(OptimizerConfig(weight_decay=0.3), model).param_groups
    found = {names[id(parameter)]: group["weight_decay"] for group in groups for parameter in group["params"]}
    kernels = {name for name, parameter in model.named_parameters() if parameter.ndim > 1 and name.endswith(".weight")}
    assert found == {name: 0.3 if name in kernels else 0.0 for name in names.values()}
    assert any(name.endswith(".weights") for name in found) == (config.skip == "fusion")


@pytest.mark.parametrize(("name", "kernel"), [("adamw", "fused"), ("adam", "fused"), ("sgd", "foreach")])
def test_all_parameters_are_updated_by_one_kernel(name, kernel):
    optimizer = build_optimizer(OptimizerConfig(name=name), nn.Linear(2, 2))
    assert [group[kernel] for group in optimizer.param_groups] == [True, True]
