"""Chooses the portfolio that a search begins with (`search/sampling/portfolio.py`), by scores on several data sets.

Every candidate is trained on the train part of every data set, and scored by its best epoch on the validation part.
The data sets are the built-in sample, the file of --data, and two that are made here: cells (bright discs of two sizes
on a dark background, few of them large) and fields (plots that differ only in texture, half of them unlabelled). On
each data set, scores are scaled so that the worst candidate has 0 and the best 1. The first candidate chosen has the
best mean over the data sets. Each further one adds most to the mean over data sets of the best score among those chosen
(greedy, which is near-optimal for submodular functions: Nemhauser et al. 1978).

Results are kept in --folder, one file per training, so that a stopped run continues, and several runs can share the
work.

    python -m tests.benchmarks.portfolio --data mars.npz --folder portfolio --images 500 --epochs 8
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path

import cv2
import numpy as np
import optuna
import torch

from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.training.resumable_training import epochs

USUAL: list[dict[str, object]] = [
    {},
    {"augmentation.rare_share": 0.125, "augmentation.copy_paste": 0.05},
    {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 0.5},
    {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 0.3, "augmentation.rare_share": 0.125},
    {"loss.name": "cross_entropy+lovasz_softmax", "augmentation.rare_share": 0.125},
    {"loss.name": "focal+batch_dice", "augmentation.rare_share": 0.125},
    {"model.class_head": "gate", "model.bottleneck": "psp"},
    {"model.class_head": "auxiliary", "model.bottleneck": "aspp", "augmentation.rare_share": 0.125},
    {"model.block": "residual_se", "model.class_head": "gate", "augmentation.copy_paste": 0.05},
    {"model.block": "residual", "model.depth": 4, "training.batch_size": 8},
    {"model.skip": "add", "model.dropout": 0.1, "model.deep_supervision": 0.5},
    {"optimizer.name": "sgd", "optimizer.lr": 0.05, "optimizer.momentum": 0.9, "schedule.name": "cosine"},
]
"""Variations of BASE, each with settings that have helped on some data set."""
BASE: dict[str, object] = {
    "model.depth": 3,
    "model.width": 16,
    "optimizer.lr": 3e-3,
    "optimizer.weight_decay": 1e-2,
    "training.batch_size": 16,
    "augmentation.name": "flips",
}
CHOSEN = 4
HEIGHT, WIDTH, MADE = 64, 96, 600


def candidates(drawn: int) -> list[dict[str, object]]:
    """Return the usual candidates, and `drawn` random ones from the whole space."""
    space = unet_space(PROFILES["cpu"])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: list[dict[str, object]] = [{**BASE, **usual} for usual in USUAL]
    return found + [dict(space.suggest(study.ask())) for _ in range(drawn)]


def cells(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image of small bright discs, and in a tenth of the images a large one; returns image and mask."""
    image = rng.normal(40, 12, (HEIGHT, WIDTH)).astype(np.float32)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    radii = [int(rng.integers(2, 6)) for _ in range(rng.integers(2, 9))]
    radii += [int(rng.integers(10, 14))] if rng.random() < 0.1 else []
    for radius in radii:
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        cv2.circle(image, centre, radius, float(rng.uniform(60, 120)), -1)
        cv2.circle(mask, centre, radius, 2 if radius >= 10 else 1, -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.2) + rng.normal(0, 10, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def fields(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw plots of four textures with the same brightness, half of them unlabelled (0); returns image and mask."""
    image, mask = np.zeros((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for top in range(0, HEIGHT, 32):
        for left in range(0, WIDTH, 32):
            kind = int(rng.choice([1, 2, 3, 4], p=[0.5, 0.3, 0.17, 0.03]))
            angle, period = (0.0, 1.2, 0.6, 2.2)[kind - 1], (4.0, 4.0, 8.0, 3.0)[kind - 1]
            wave = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
            plot = (slice(top, top + 32), slice(left, left + 32))
            image[plot] = (110 + 25 * wave + rng.normal(0, 25, image.shape))[plot]
            mask[plot] = kind if rng.random() < 0.5 else 0
    return np.clip(image, 0, 255).astype(np.uint8), mask


def made(folder: Path, name: str) -> Path:
    """Return the file of a made data set; write it if it does not exist."""
    path = folder / f"{name}.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        draw, names = (cells, ["ground", "small", "large"]) if name == "cells" else (fields, list("-abcd"))
        pairs = np.stack([np.stack(draw(rng)) for _ in range(MADE)])
        ignored = {} if name == "cells" else {"ignored_label": 0}
        temporary = folder / f"{name}.{os.getpid()}.npz"
        np.savez(temporary, training_set=pairs, class_names=np.array(names), **ignored)
        temporary.replace(path)
    return path


def score(data: PreparedData, candidate: dict[str, object], images: int, length: int) -> float:
    """Train a candidate, and return its best epoch's mean IoU on the validation part."""
    config = TrialConfig.from_flat(candidate)
    training = dataclasses.replace(config.training, max_epochs=length, patience=length, ema_decay=0.99)
    train = data.train_part(min(1.0, images / len(data.split["train"])))
    reports = epochs(dataclasses.replace(config, training=training), data, train=train, validation=data.split["val"])
    return max(report.score or 0.0 for report in reports if not report.diverged)


def greedy(parts: np.ndarray, count: int) -> list[int]:
    """Choose `count` rows of (candidates, data sets) scores in [0, 1]; each adds most to the mean of the columns' best.

    Returns: the numbers of the rows, in the order in which they were chosen.
    """
    chosen: list[int] = []
    best = np.zeros(parts.shape[1])
    for _ in range(count):
        gains = np.maximum(parts, best).mean(1)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, parts[chosen[-1]])
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="npz file or URI")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the results")
    parser.add_argument("--images", type=int, default=500, help="training images of each data set")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--drawn", type=int, default=8, help="random candidates, beside the usual ones")
    parser.add_argument(
        "--share", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="every N-th training, from I"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    given = candidates(options.drawn)
    sources = {"sample": "sample", "given": options.data}
    sources |= {name: str(made(options.folder, name)) for name in ("cells", "fields")}
    todo = [(number, name) for number in range(len(given)) for name in sources]
    for number, name in todo[options.share[0] :: options.share[1]]:
        path = options.folder / f"{number:03d}-{name}-{options.images}-{options.epochs}.json"
        if not path.exists():
            found = score(prepare(DataSource(uri=sources[name])), given[number], options.images, options.epochs)
            path.write_text(json.dumps({"score": found, "config": given[number]}))
            print(f"{number:03d} {name:<8} {found:.4f}", flush=True)
    paths = [options.folder / f"{number:03d}-{name}-{options.images}-{options.epochs}.json" for number, name in todo]
    if not all(path.exists() for path in paths):
        print("the other shares are not finished: run this command again when they are")
        return
    scores = np.array([json.loads(path.read_text())["score"] for path in paths]).reshape(len(given), len(sources))
    parts = (scores - scores.min(0)) / (scores.max(0) - scores.min(0))
    print(f"\n{'':<5}" + "".join(f"{name:>9}" for name in sources) + "     mean")
    for number in np.argsort(-parts.mean(1)):
        print(f"{number:03d}  " + "".join(f"{value:9.4f}" for value in scores[number]) + f"{parts[number].mean():9.3f}")
    chosen = greedy(parts, CHOSEN)
    print("\nchosen, each with the mean over data sets of the best score up to it:")
    for count, number in enumerate(chosen, 1):
        print(f"{number:03d}  {parts[chosen[:count]].max(0).mean():.3f}  {json.dumps(given[number])}")


if __name__ == "__main__":
    main()
