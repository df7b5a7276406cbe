"""Small networks on scikit-learn's digits: mean IoU of the ten classes, epoch by epoch.

Made hard on purpose: 400 training images of which a fifth carry a wrong label; 700 others are scored on.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from search.space import Parameter, Scalar, Space

TRAIN, VAL, NOISE = 400, 700, 0.2

_CNN, _MLP = ("net", ("cnn",)), ("net", ("mlp",))
_SGD, _ADAM = ("optimizer", ("sgd",)), ("optimizer", ("adamw",))
SPACE = Space(
    (
        Parameter(name="net", choices=("mlp", "cnn"), help="family"),
        Parameter(name="depth", choices=(1, 2, 3), help="hidden layers"),
        Parameter(name="width", low=8, high=128, log=True, whole=True, when=_MLP, help="units of a layer"),
        Parameter(name="channels", low=4, high=16, log=True, whole=True, when=_CNN, help="channels of a layer"),
        Parameter(name="kernel", choices=(3, 5), when=_CNN, help="side of the filters"),
        Parameter(name="pool", choices=("max", "average", "none"), when=_CNN, help="behind the first layer"),
        Parameter(name="activation", choices=("relu", "gelu", "tanh", "sigmoid"), help="nonlinearity"),
        Parameter(name="norm", choices=("none", "batch"), help="normalization"),
        Parameter(name="dropout", low=0.0, high=0.7, help="probability of dropping a unit"),
        Parameter(name="smoothing", low=0.0, high=0.4, help="label smoothing"),
        Parameter(name="optimizer", choices=("sgd", "adamw"), help="optimizer"),
        Parameter(name="sgd_lr", low=1e-3, high=3.0, log=True, when=_SGD, help="peak learning rate of SGD"),
        Parameter(name="momentum", low=0.0, high=0.99, when=_SGD, help="momentum of SGD"),
        Parameter(name="adam_lr", low=1e-4, high=1e-1, log=True, when=_ADAM, help="peak learning rate of AdamW"),
        Parameter(name="weight_decay", low=1e-6, high=1e-1, log=True, help="weight decay"),
        Parameter(name="schedule", choices=("constant", "cosine", "onecycle"), help="learning-rate schedule"),
        Parameter(name="warmup", low=0.05, high=0.5, when=("schedule", ("onecycle",)), help="part of the steps"),
        Parameter(name="batch_size", choices=(32, 64, 128), help="images a step"),
        Parameter(name="shift", choices=(0, 1, 2), help="augmentation: pixels of shift at most"),
        Parameter(name="noise", low=0.0, high=0.6, help="augmentation: standard deviation of added noise"),
    )
)


def train(params: Mapping[str, Scalar], epochs: int, seed: int, *, related: bool = False) -> Iterator[float]:
    """The score behind each epoch of a training; of a diverged one 0 from then on. `related`: other images, upside
    down."""
    x_train, y_train, x_val, y_val = _data(related)
    torch.manual_seed(seed)
    model = _model(params)
    optimizer, scheduler = _optimizer(params, model, epochs, len(x_train))
    batch_size = int(params["batch_size"])
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x_train)).split(batch_size):
            if len(rows) == 1:
                continue  # batch normalization needs two
            x = _augmented(x_train[rows], int(params["shift"]), float(params["noise"]))
            loss = nn.functional.cross_entropy(model(x), y_train[rows], label_smoothing=float(params["smoothing"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        yield _mean_iou(model, x_val, y_val)


@functools.cache
def _data(related: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(int(related))
    images = images[:, ::-1] if related else images
    order = random.permutation(len(images))
    x = torch.tensor(images[order].reshape(-1, 1, 8, 8) / 16.0 - 0.5, dtype=torch.float32)
    y = torch.tensor(labels[order])
    y_train = y[:TRAIN].clone()
    wrong = torch.tensor(random.random(TRAIN) < NOISE)
    y_train[wrong] = torch.tensor(random.integers(0, 10, TRAIN))[wrong]
    return x[:TRAIN], y_train, x[TRAIN : TRAIN + VAL], y[TRAIN : TRAIN + VAL]


def _model(params: Mapping[str, Scalar]) -> nn.Module:
    activation = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[str(params["activation"])]
    normed, dropout = params["norm"] == "batch", float(params["dropout"])
    layers: list[nn.Module] = []
    if params["net"] == "mlp":
        width, features = int(params["width"]), 64
        layers.append(nn.Flatten())
        for _ in range(int(params["depth"])):
            layers += [nn.Linear(features, width), *([nn.BatchNorm1d(width)] if normed else [])]
            layers += [activation(), nn.Dropout(dropout)]
            features = width
        return nn.Sequential(*layers, nn.Linear(features, 10))
    channels, features, side = int(params["channels"]), 1, 8
    for layer in range(int(params["depth"])):
        layers.append(nn.Conv2d(features, channels, int(params["kernel"]), padding="same"))
        layers += [*([nn.BatchNorm2d(channels)] if normed else []), activation(), nn.Dropout2d(dropout)]
        if layer == 0 and params["pool"] != "none":
            layers.append(nn.MaxPool2d(2) if params["pool"] == "max" else nn.AvgPool2d(2))
            side = 4
        features = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, 10))


def _optimizer(
    params: Mapping[str, Scalar], model: nn.Module, epochs: int, images: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    decay, steps = float(params["weight_decay"]), epochs * -(-images // int(params["batch_size"]))
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


def _augmented(x: Tensor, shift: int, noise: float) -> Tensor:
    """(N, 1, 8, 8), moved by one draw a batch."""
    if shift:
        down, right = torch.randint(-shift, shift + 1, (2,)).tolist()
        x = torch.roll(x, (down, right), (2, 3))
    return x + noise * torch.randn_like(x) if noise else x


@torch.no_grad()
def _mean_iou(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    logits = model(x)
    if not torch.isfinite(logits).all():
        return 0.0
    confusion = torch.bincount(y * 10 + logits.argmax(1), minlength=100).view(10, 10).double()
    hits = confusion.diag()
    return float((hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean())
