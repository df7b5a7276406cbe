"""Common parts of the tasks' trainings."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search.study.space import Parameter, Scalar

_SGD, _ADAM = ("optimizer", ("sgd",)), ("optimizer", ("adamw",))
OPTIMIZER = (
    Parameter(name="optimizer", choices=("sgd", "adamw"), help="optimizer"),
    Parameter(name="sgd_lr", low=1e-3, high=3.0, log=True, when=_SGD, help="peak learning rate of SGD"),
    Parameter(name="momentum", low=0.0, high=0.99, when=_SGD, help="momentum of SGD"),
    Parameter(name="adam_lr", low=1e-4, high=1e-1, log=True, when=_ADAM, help="peak learning rate of AdamW"),
    Parameter(name="weight_decay", low=1e-6, high=1e-1, log=True, help="weight decay"),
    Parameter(name="schedule", choices=("constant", "cosine", "onecycle"), help="learning-rate schedule"),
    Parameter(name="warmup", low=0.05, high=0.5, when=("schedule", ("onecycle",)), help="part of the steps"),
)
"""Parameters of `optimizer_of`."""


def optimizer_of(
    params: Mapping[str, Scalar], model: nn.Module, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    """Return SGD or AdamW with a constant, cosine or one-cycle learning rate over `steps` steps."""
    decay = float(params["weight_decay"])
    optimizer: torch.optim.Optimizer
    if params["optimizer"] == "sgd":
        lr = float(params["sgd_lr"])
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum=float(params["momentum"]), weight_decay=decay)
    else:
        lr = float(params["adam_lr"])
        optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=decay)
    if params["schedule"] == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if params["schedule"] == "onecycle":
        one_cycle = torch.optim.lr_scheduler.OneCycleLR
        return optimizer, one_cycle(
            optimizer, lr, total_steps=steps, pct_start=float(params["warmup"]), cycle_momentum=False
        )
    return optimizer, None


def descend(
    loss: Tensor, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler | None
) -> None:
    """Make one step of optimizer and scheduler."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if scheduler is not None:
        scheduler.step()


def mean_iou(truth: Tensor, predicted: Tensor, classes: int) -> float:
    """Return the mean IoU of labels in [0, classes) of equal shapes; NaN if a class is in neither."""
    confusion = torch.bincount(truth * classes + predicted, minlength=classes**2).view(classes, classes).double()
    hits = confusion.diag()
    return float((hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean())
