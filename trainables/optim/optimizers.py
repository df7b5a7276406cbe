"""Optimizers by name, and their settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from trainables.registry import Component, Parameter, lookup
from trainables.validation import check, check_name, check_positive, resolve_parameters

Groups = list[dict[str, Any]]

# Fused implementations take half the time of the default on a CPU. For SGD on a CPU, foreach is faster than fused.


def _adam(groups: Groups, *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay, fused=True)


def _adamw(groups: Groups, *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True)


def _sgd(groups: Groups, *, lr: float, weight_decay: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=momentum > 0, foreach=True
    )


MOMENTUM = Parameter(
    help="momentum",
    default=0.9,
    allows=lambda value: 0 <= value < 1,
    rule="must be at least 0 and below 1",
)

OPTIMIZERS: dict[str, Component[torch.optim.Optimizer]] = {
    "adamw": Component(_adamw),
    "adam": Component(_adam),
    "sgd": Component(_sgd, {"momentum": MOMENTUM}),
}
"""Each builder takes the parameter groups, then `lr`, `weight_decay` and its parameters as keyword arguments. The decay
of Adam is an L2 penalty, that of AdamW is decoupled from the gradient (Loshchilov and Hutter 2019). SGD uses Nesterov
momentum."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer: a key of `OPTIMIZERS` and its parameters."""

    name: str = "adamw"
    lr: float = 1e-3
    """Learning rate, the peak of the schedule, above 0."""
    weight_decay: float = 1e-4
    """Weight decay of convolutions and linear layers, at least 0."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters of the optimizer by name (see `OPTIMIZERS`). Missing ones take their defaults."""
    REGISTRY: ClassVar = OPTIMIZERS

    def __post_init__(self) -> None:
        check_name(self, "name", tuple(OPTIMIZERS))
        check_positive(self, "lr")
        check(self, "weight_decay", 0 <= self.weight_decay < math.inf, "must be at least 0")
        resolve_parameters(self, OPTIMIZERS)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of a configuration for the trainable parameters of a model, which is already on its device.

    Weight decay applies to the weights of convolutions and linear layers, and not to biases, normalisation parameters
    and the fusion weights of skip connections.
    """
    layers = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear))
    kernels = {id(layer.weight) for layer in layers}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: Groups = [
        {"params": [parameter for parameter in trainable if id(parameter) in kernels]},
        {"params": [parameter for parameter in trainable if id(parameter) not in kernels], "weight_decay": 0.0},
    ]
    component, groups = lookup(OPTIMIZERS, config.name, "optimizer"), [group for group in groups if group["params"]]
    return component.build(groups, lr=config.lr, weight_decay=config.weight_decay, given=config.parameters)
