"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainables.config import OptimizerConfig
from trainables.registry import lookup

Groups = list[dict[str, Any]]

# One kernel for all parameters where torch has it: half the time of the default on a CPU (foreach for SGD, whose
# fused kernel is the slower of the two there).


def _adam(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def _adamw(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def _sgd(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    assert config.momentum is not None
    return torch.optim.SGD(
        groups,
        lr=config.lr,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        foreach=True,
    )


OPTIMIZERS: dict[str, Callable[[Groups, OptimizerConfig], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
}
"""Name to builder(parameter groups, config). Adam's decay is an L2 penalty, AdamW's is decoupled from the gradient
(Loshchilov and Hutter 2019). SGD uses Nesterov momentum."""


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of a configuration for a model's parameters, which are on their device already.

    What multiplies features decays: the weights of convolutions and linear layers. Biases, normalisation parameters and
    the weights by which features are fused do not.
    """
    layers = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear))
    kernels = {id(layer.weight) for layer in layers}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: Groups = [
        {"params": [parameter for parameter in trainable if id(parameter) in kernels]},
        {"params": [parameter for parameter in trainable if id(parameter) not in kernels], "weight_decay": 0.0},
    ]
    return lookup(OPTIMIZERS, config.name, "optimizer")([group for group in groups if group["params"]], config)
