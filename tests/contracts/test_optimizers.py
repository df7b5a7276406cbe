"""What every optimizer must do. A new registry entry is tested as it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trainables.optim.optimizers import OPTIMIZERS, OptimizerConfig, build_optimizer

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, image: torch.Tensor) -> float:
    loss = (model(image) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@every_optimizer
def test_a_step_lowers_the_loss(name):
    model, image = network(), torch.rand(2, 1, 8, 8)
    optimizer = build_optimizer(OptimizerConfig(name=name, lr=1e-3), model)
    assert step(model, optimizer, image) > step(model, optimizer, image)


@every_optimizer
def test_weights_decay_and_biases_and_normalisation_do_not(name):
    model = network()
    optimizer = build_optimizer(OptimizerConfig(name=name, lr=0.1, weight_decay=0.5), model)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(model[0].weight), id(model[3].weight)}
    assert sorted(id(p) for group in optimizer.param_groups for p in group["params"]) == sorted(
        map(id, model.parameters())
    )
    before = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter, old in zip(model.parameters(), before.parameters(), strict=True):
        if parameter.ndim > 1:
            assert parameter.norm() < old.norm()
        else:
            assert torch.equal(parameter, old)


@every_optimizer
def test_learning_rate_and_decay_are_those_of_the_configuration(name):
    optimizer = build_optimizer(OptimizerConfig(name=name, lr=0.03, weight_decay=0.2), network())
    assert {group["lr"] for group in optimizer.param_groups} == {0.03}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.2}


@every_optimizer
def test_frozen_parameters_are_left_out(name):
    model = network()
    model[0].weight.requires_grad_(False)
    held = {id(p) for g in build_optimizer(OptimizerConfig(name=name), model).param_groups for p in g["params"]}
    assert held == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


@every_optimizer
def test_it_resumes_to_the_same_weights(name):
    config, images = OptimizerConfig(name=name, lr=1e-2), torch.rand(4, 2, 1, 8, 8)
    model = network()
    optimizer = build_optimizer(config, model)
    for image in images[:2]:
        step(model, optimizer, image)
    resumed = copy.deepcopy(model)
    state = copy.deepcopy(optimizer.state_dict())
    resumed_optimizer = build_optimizer(config, resumed)
    resumed_optimizer.load_state_dict(state)
    for image in images[2:]:
        step(model, optimizer, image)
        step(resumed, resumed_optimizer, image)
    for parameter, other in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_an_unknown_name_is_refused_with_the_known_ones():
    config = OptimizerConfig()
    object.__setattr__(config, "name", "magic")
    with pytest.raises(ValueError, match=rf"unknown optimizer 'magic': must be one of {', '.join(OPTIMIZERS)}"):
        build_optimizer(config, network())
