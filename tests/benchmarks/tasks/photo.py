"""Coordinate networks that learn a photograph of scikit-learn's as a function from (x, y) to a colour.

The score after each epoch is the explained part of the variance of unseen pixels' colours (R², at least 0). The
embedding of the coordinates, the initialization and the optimizer must match, or the network learns a blur.

Sources: Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions", 2020; Sitzmann et al., "Implicit
Neural Representations with Periodic Activation Functions", 2020.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from search.study.space import Parameter, Scalar, Space

STEP = 16
"""Distance of the pixels that are taken of the photograph, in both directions."""

_SINE = ("activation", ("sine",))
_FOURIER = ("embedding", ("fourier",))
_GRID = ("embedding", ("octaves",))
_SGD, _ADAM = ("optimizer", ("sgd",)), ("optimizer", ("adam", "rmsprop"))
SPACE = Space(
    (
        Parameter(name="embedding", choices=("none", "octaves", "fourier"), help="embedding of the coordinates"),
        Parameter(
            name="octaves", low=1, high=8, whole=True, when=_GRID, help="number of frequencies, each twice the last"
        ),
        Parameter(name="features", low=4, high=128, log=True, whole=True, when=_FOURIER, help="random frequencies"),
        Parameter(
            name="sigma", low=0.1, high=50.0, log=True, when=_FOURIER, help="standard deviation of the frequencies"
        ),
        Parameter(name="activation", choices=("relu", "gelu", "tanh", "sine"), help="nonlinearity"),
        Parameter(name="omega", low=1.0, high=100.0, log=True, when=_SINE, help="frequency of the first sines"),
        Parameter(name="depth", choices=(1, 2, 3, 4), help="hidden layers"),
        Parameter(name="width", low=8, high=64, log=True, whole=True, help="units of a layer"),
        Parameter(name="residual", choices=(False, True), help="add a layer's input to its output"),
        Parameter(name="norm", choices=("none", "layer"), help="normalization"),
        Parameter(name="dropout", low=0.0, high=0.3, help="probability of dropping a unit"),
        Parameter(name="init", low=0.1, high=10.0, log=True, help="scale of the first weights"),
        Parameter(name="loss", choices=("mse", "l1", "huber"), help="training loss"),
        Parameter(name="optimizer", choices=("sgd", "adam", "rmsprop"), help="optimizer"),
        Parameter(name="sgd_lr", low=1e-3, high=1.0, log=True, when=_SGD, help="peak learning rate of SGD"),
        Parameter(name="momentum", low=0.0, high=0.99, when=_SGD, help="momentum of SGD"),
        Parameter(name="adam_lr", low=1e-4, high=1e-1, log=True, when=_ADAM, help="peak learning rate of the others"),
        Parameter(name="weight_decay", low=1e-8, high=1e-2, log=True, help="weight decay"),
        Parameter(name="schedule", choices=("constant", "cosine", "exponential"), help="learning-rate schedule"),
        Parameter(name="batch_size", choices=(64, 128, 256), help="pixels per step"),
    )
)


def train(params: Mapping[str, Scalar], epochs: int, seed: int, *, related: bool = False) -> Iterator[float]:
    """Yield the score after each epoch of a training; 0 once it has diverged. `related`: another photograph."""
    x_train, y_train, x_val, y_val = _data("flower.jpg" if related else "china.jpg")
    torch.manual_seed(seed)
    model = _Model(params)
    batch_size = int(params["batch_size"])
    optimizer, scheduler = _optimizer(params, model, epochs * -(-len(x_train) // batch_size))
    criterion = {"mse": nn.MSELoss, "l1": nn.L1Loss, "huber": nn.HuberLoss}[str(params["loss"])]()
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x_train)).split(batch_size):
            loss = criterion(model(x_train[rows]), y_train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
        yield _explained(model, x_val, y_val)


class _Model(nn.Module):
    """Maps (N, 2) coordinates in [-1, 1] to (N, 3) colours."""

    def __init__(self, params: Mapping[str, Scalar]):
        super().__init__()
        self.embedding, width = params["embedding"], int(params["width"])
        self.activation, self.omega = str(params["activation"]), float(params.get("omega", 1.0))
        self.residual, features = bool(params["residual"]), 2
        if self.embedding == "octaves":
            frequencies = 2.0 ** torch.arange(int(params["octaves"]))
            self.register_buffer("frequencies", torch.cat([torch.diag(f.repeat(2)) for f in frequencies], 1) * math.pi)
            features = 4 * int(params["octaves"])
        elif self.embedding == "fourier":
            self.register_buffer(
                "frequencies", torch.randn(2, int(params["features"])) * float(params["sigma"]) * math.pi
            )
            features = 2 * int(params["features"])
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for _ in range(int(params["depth"])):
            self.layers.append(nn.Linear(features, width))
            self.norms.append(nn.LayerNorm(width) if params["norm"] == "layer" else nn.Identity())
            features = width
        self.dropout, self.head = nn.Dropout(float(params["dropout"])), nn.Linear(width, 3)
        with torch.no_grad():
            for layer in self.layers:
                layer.weight *= float(params["init"])

    def forward(self, x: Tensor) -> Tensor:
        if self.embedding != "none":
            projected = x @ self.frequencies
            x = torch.cat([projected.sin(), projected.cos()], 1)
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            z = norm(layer(x))
            if self.activation == "sine":
                z = torch.sin(self.omega * z if index == 0 else z)
            else:
                z = getattr(torch.nn.functional, self.activation)(z)
            x = x + self.dropout(z) if self.residual and index > 0 else self.dropout(z)
        return self.head(x)


@functools.cache
def _data(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    image = load_sample_image(name)[::STEP, ::STEP].astype(np.float32) / 255.0
    down, right = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    x = torch.tensor(np.stack([down, right], -1).reshape(-1, 2), dtype=torch.float32)
    y = torch.tensor(image.reshape(-1, 3))
    y = (y - y.mean(0)) / y.std(0)
    order = torch.tensor(np.random.default_rng(0).permutation(len(x)))
    train, val = order[: len(x) * 2 // 3], order[len(x) * 2 // 3 :]
    return x[train], y[train], x[val], y[val]


def _optimizer(
    params: Mapping[str, Scalar], model: nn.Module, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    decay, schedulers = float(params["weight_decay"]), torch.optim.lr_scheduler
    optimizer: torch.optim.Optimizer
    if params["optimizer"] == "sgd":
        lr = float(params["sgd_lr"])
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum=float(params["momentum"]), weight_decay=decay)
    else:
        kind = torch.optim.Adam if params["optimizer"] == "adam" else torch.optim.RMSprop
        optimizer = kind(model.parameters(), float(params["adam_lr"]), weight_decay=decay)
    if params["schedule"] == "cosine":
        return optimizer, schedulers.CosineAnnealingLR(optimizer, steps)
    factor = 0.01 ** (1 / steps) if params["schedule"] == "exponential" else 1.0
    return optimizer, schedulers.ExponentialLR(optimizer, factor)


@torch.no_grad()
def _explained(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    error = nn.functional.mse_loss(model(x), y)
    return max(0.0, float(1 - error / y.var(0, unbiased=False).mean())) if error.isfinite() else 0.0
