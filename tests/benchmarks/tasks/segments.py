"""Small networks that segment a grey photograph of scikit-learn's: mean IoU of its five colours after each epoch.

The five classes are clusters of the photograph's colours. Where classes have the same grey, only the surroundings of a
pixel distinguish them. The task is hard on purpose: there are 40 training windows. The score is on 64 other windows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from search.study.space import Parameter, Scalar, Space
from tests.benchmarks.tasks.parts import OPTIMIZER, descend, mean_iou, optimizer_of
from trainables.data import DataDescription
from trainables.losses import Loss, build_loss
from trainables.losses.config import LossConfig

TRAIN, VAL, SIDE, CLASSES = 40, 64, 16, 5
STEP = 2
"""Distance of the pixels that are taken of the photograph, in both directions."""

_UNET, _FLAT = ("net", ("unet",)), ("net", ("flat",))
SPACE = Space(
    (
        Parameter(name="net", choices=("unet", "flat"), help="family: with down-sampling, or of one resolution"),
        Parameter(name="depth", choices=(1, 2, 3), when=_UNET, help="down-samplings"),
        Parameter(name="skip", choices=("concat", "add", "none"), when=_UNET, help="skip connections"),
        Parameter(name="layers", choices=(2, 3, 4), when=_FLAT, help="convolutions"),
        Parameter(
            name="dilation", choices=(1, 2, 3), when=_FLAT, help="factor from one convolution's dilation to the next's"
        ),
        Parameter(name="width", low=3, high=12, log=True, whole=True, help="channels"),
        Parameter(name="kernel", choices=(3, 5), help="side of the filters"),
        Parameter(name="activation", choices=("relu", "gelu", "tanh"), help="nonlinearity"),
        Parameter(name="norm", choices=("none", "batch"), help="normalization"),
        Parameter(name="dropout", low=0.0, high=0.5, help="probability of dropping a channel"),
        Parameter(
            name="loss", choices=("cross_entropy", "weighted_cross_entropy", "focal", "dice", "focal+dice"), help="loss"
        ),
        Parameter(
            name="class_weight_exponent",
            low=0.1,
            high=1.0,
            when=("loss", ("weighted_cross_entropy",)),
            help="class weight = 1 / class frequency to this power",
        ),
        Parameter(name="gamma", low=0.5, high=4.0, when=("loss", ("focal", "focal+dice")), help="focusing"),
        *OPTIMIZER,
        Parameter(name="batch_size", choices=(8, 16, 32), help="windows per step"),
        Parameter(name="flips", choices=(False, True), help="augmentation: flips in both directions"),
        Parameter(name="noise", low=0.0, high=0.2, help="augmentation: standard deviation of added noise"),
    )
)


def train(params: Mapping[str, Scalar], epochs: int, seed: int, *, related: bool = False) -> Iterator[float]:
    """Yield the score after each epoch of a training; 0 once it has diverged. `related`: another photograph."""
    x_train, y_train, x_val, y_val = _data("flower.jpg" if related else "china.jpg")
    torch.manual_seed(seed)
    model = _Net(params)
    batch_size = int(params["batch_size"])
    optimizer, scheduler = optimizer_of(params, model, epochs * -(-TRAIN // batch_size))
    criterion = _loss(params, y_train)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(TRAIN).split(batch_size):
            x, y = x_train[rows], y_train[rows]
            if params["flips"]:
                flipped = [axis for axis in (-2, -1) if torch.rand(()) < 0.5]
                x, y = x.flip(flipped), y.flip(flipped)
            loss = criterion(model(x + float(params["noise"]) * torch.randn_like(x)), y)
            descend(loss, optimizer, scheduler)
        yield _score(model, x_val, y_val)


class _Net(nn.Module):
    """Maps images (N, 1, SIDE, SIDE) to logits (N, CLASSES, SIDE, SIDE)."""

    def __init__(self, params: Mapping[str, Scalar]):
        super().__init__()
        width, self.skip = int(params["width"]), str(params.get("skip"))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        if params["net"] == "flat":
            dilations = [int(params["dilation"]) ** layer for layer in range(int(params["layers"]))]
            self.inside = nn.Sequential(
                *(_block(params, width if layer else 1, width, dilation) for layer, dilation in enumerate(dilations))
            )
        else:
            for level in range(int(params["depth"])):
                self.down.append(_block(params, width if level else 1, width))
                self.up.append(_block(params, 2 * width if self.skip == "concat" else width, width))
            self.inside = _block(params, width, width)
        self.head = nn.Conv2d(width, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        skipped = []
        for block in self.down:
            skipped.append(block(x))
            x = nn.functional.max_pool2d(skipped[-1], 2)
        x = self.inside(x)
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2)
            if self.skip == "concat":
                x = torch.cat([x, skipped.pop()], 1)
            elif self.skip == "add":
                x = x + skipped.pop()
            x = block(x)
        return self.head(x)


def _block(params: Mapping[str, Scalar], inputs: int, outputs: int, dilation: int = 1) -> nn.Module:
    activation = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[str(params["activation"])]
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, int(params["kernel"]), padding="same", dilation=dilation),
        nn.BatchNorm2d(outputs) if params["norm"] == "batch" else nn.Identity(),
        activation(),
        nn.Dropout2d(float(params["dropout"])),
    )


def _loss(params: Mapping[str, Scalar], y_train: Tensor) -> Loss:
    own = {name: params[name] for name in ("class_weight_exponent", "gamma") if name in params}
    counts = torch.bincount(y_train.flatten(), minlength=CLASSES).numpy()
    described = DataDescription(class_names=tuple(map(str, range(CLASSES))), ignored_label=None)
    return build_loss(LossConfig(name=str(params["loss"]), parameters=own), described=described, pixel_counts=counts)


@functools.cache
def _data(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    photo = load_sample_image(name)[::STEP, ::STEP].astype(np.float32) / 255.0
    rows, columns = (length // SIDE for length in photo.shape[:2])
    photo = photo[: rows * SIDE, : columns * SIDE]
    colours = KMeans(CLASSES, random_state=0, n_init=1).fit_predict(photo.reshape(-1, 3)).reshape(photo.shape[:2])
    x, y = (_windows(array) for array in (photo.mean(2) - 0.5, colours.astype(np.int64)))
    order = torch.tensor(np.random.default_rng(0).permutation(len(x)))[: TRAIN + VAL]
    x, y = x[order].unsqueeze(1), y[order]
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def _windows(array: np.ndarray) -> Tensor:
    """Cut (H, W) into (windows, SIDE, SIDE)."""
    return torch.tensor(array).unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, SIDE, SIDE)


@torch.no_grad()
def _score(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    logits = model(x)
    if not torch.isfinite(logits).all():
        return 0.0
    return mean_iou(y.flatten(), logits.argmax(1).flatten(), CLASSES)
