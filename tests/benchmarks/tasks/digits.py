"""Small networks on scikit-learn's digits: mean IoU of the ten classes after each epoch.

The task is hard on purpose: a fifth of the 400 training images have random labels. The score is on 700 other images.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from search.study.space import Parameter, Scalar, Space
from tests.benchmarks.tasks.parts import OPTIMIZER, descend, mean_iou, optimizer_of

TRAIN, VAL, NOISE = 400, 700, 0.2

_CNN, _MLP = ("net", ("cnn",)), ("net", ("mlp",))
SPACE = Space(
    (
        Parameter(name="net", choices=("mlp", "cnn"), help="family"),
        Parameter(name="depth", choices=(1, 2, 3), help="hidden layers"),
        Parameter(name="width", low=8, high=128, log=True, whole=True, when=_MLP, help="units of a layer"),
        Parameter(name="channels", low=4, high=16, log=True, whole=True, when=_CNN, help="channels of a layer"),
        Parameter(name="kernel", choices=(3, 5), when=_CNN, help="side of the filters"),
        Parameter(name="pool", choices=("max", "average", "none"), when=_CNN, help="pooling after the first layer"),
        Parameter(name="activation", choices=("relu", "gelu", "tanh", "sigmoid"), help="nonlinearity"),
        Parameter(name="norm", choices=("none", "batch"), help="normalization"),
        Parameter(name="dropout", low=0.0, high=0.7, help="probability of dropping a unit"),
        Parameter(name="smoothing", low=0.0, high=0.4, help="label smoothing"),
        *OPTIMIZER,
        Parameter(name="batch_size", choices=(32, 64, 128), help="images per step"),
        Parameter(name="shift", choices=(0, 1, 2), help="augmentation: pixels of shift at most"),
        Parameter(name="noise", low=0.0, high=0.6, help="augmentation: standard deviation of added noise"),
    )
)


def train(params: Mapping[str, Scalar], epochs: int, seed: int, *, related: bool = False) -> Iterator[float]:
    """Yield the score after each epoch of a training; 0 once it has diverged. `related`: other images, upside down."""
    x_train, y_train, x_val, y_val = _data(related)
    torch.manual_seed(seed)
    model = _model(params)
    batch_size = int(params["batch_size"])
    optimizer, scheduler = optimizer_of(params, model, epochs * -(-len(x_train) // batch_size))
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x_train)).split(batch_size):
            if len(rows) == 1:
                continue  # batch normalization needs two
            x = _augmented(x_train[rows], int(params["shift"]), float(params["noise"]))
            loss = nn.functional.cross_entropy(model(x), y_train[rows], label_smoothing=float(params["smoothing"]))
            descend(loss, optimizer, scheduler)
        yield _score(model, x_val, y_val)


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


def _augmented(x: Tensor, shift: int, noise: float) -> Tensor:
    """Return images (N, 1, 8, 8), shifted by one random draw per batch, with noise added."""
    if shift:
        down, right = torch.randint(-shift, shift + 1, (2,)).tolist()
        x = torch.roll(x, (down, right), (2, 3))
    return x + noise * torch.randn_like(x) if noise else x


@torch.no_grad()
def _score(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    logits = model(x)
    if not torch.isfinite(logits).all():
        return 0.0
    return mean_iou(y, logits.argmax(1), 10)
