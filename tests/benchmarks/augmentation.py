"""The cost of augmentation: microseconds per image, and its effect on the time of an epoch.

The first table times each set as the training calls it, one image at a time, and a plain Albumentations `Compose` of
the same transforms (mixing and oversampling have no such baseline). For the second table, real epochs are trained with
all sets in turn, and their times divided by that of an epoch without augmentation. A thread makes the batches while the
model computes, so that little of the cost should remain.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import torch

from trainables.augmentation.mixing import build_mixing
from trainables.augmentation.transforms import AUGMENTATIONS, AugmentationConfig, build_augmentation
from trainables.config import TrainingConfig, TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.device import default_device
from trainables.models.config import ModelConfig
from trainables.training.trainer import Training
from trainables.validation import PLUS

BATCH = 32
SETS = {name: AugmentationConfig(name=name) for name in AUGMENTATIONS} | {
    "flips+crop": AugmentationConfig(name="flips+crop"),
    "cutmix": AugmentationConfig(name="none", cutmix=0.5),
    "copy_paste": AugmentationConfig(name="none", copy_paste=0.5),
    "oversampling": AugmentationConfig(name="none", oversampling=10),
    "flips+crop, copy_paste": AugmentationConfig(name="flips+crop", copy_paste=0.5, oversampling=10),
}


def microseconds(make, images: np.ndarray, masks: np.ndarray, rounds: int) -> float:
    """Return the median over rounds of the time of one call."""
    times = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
            make(image, mask, number * len(images) + row)
        times.append((time.perf_counter() - started) / len(images) * 1e6)
    return statistics.median(times[1:])


def pipeline(config: AugmentationConfig, data: PreparedData, indices: np.ndarray):
    changes = [build_mixing(config, data, indices), build_augmentation(config, size=data.images.shape[1:])]
    changes = [change for change in changes if change is not None]

    def make(image: np.ndarray, mask: np.ndarray, seed: int) -> None:
        for change in changes:
            image, mask = change(image, mask, seed)

    return make if changes else None


def plain_compose(config: AugmentationConfig, size: tuple[int, int]):
    transforms = [transform for name in config.name.split(PLUS) for transform in AUGMENTATIONS[name](size)]
    if not transforms or config.copy_paste:
        return None
    compose = A.Compose(transforms)
    return lambda image, mask, seed: compose(image=image, mask=mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=320)
    options = parser.parse_args()
    data = prepare(DataSource(uri="sample"))
    indices = data.split["train"][: options.images // BATCH * BATCH]
    images, masks = np.array(data.images[indices]), np.array(data.masks[indices])

    print(f"microseconds per image of {images.shape[1]}x{images.shape[2]}, median of {options.rounds} rounds")
    print(f"{'':<28}{'ours':>10}{'Albumentations':>18}{'ratio':>10}")
    for name, config in SETS.items():
        ours, plain = pipeline(config, data, indices), plain_compose(config, images.shape[1:])
        if ours is None:
            continue
        own = microseconds(ours, images, masks, options.rounds)
        row = f"{name:<28}{own:>10.0f}"
        if plain is not None:
            base = microseconds(plain, images, masks, options.rounds)
            row += f"{base:>18.0f}{own / base:>10.2f}"
        print(row)

    trainings = {
        name: Training(
            TrialConfig(
                model=ModelConfig(depth=3, width=16),
                augmentation=config,
                training=TrainingConfig(batch_size=BATCH, max_epochs=options.rounds + 1),
            ),
            data,
            indices,
            default_device(),
        )
        for name, config in SETS.items()
    }
    ratios: dict[str, list[float]] = {name: [] for name in trainings}
    for number in range(1, options.rounds + 2):
        seconds = {name: training.train_epoch(number).seconds for name, training in trainings.items()}
        if number > 1:  # the first round warms up
            for name, spent in seconds.items():
                ratios[name].append(spent / seconds["none"])
    print(
        f"\ntime of an epoch relative to one without augmentation: U-Net depth 3 width 16, batch {BATCH}, "
        f"{len(indices)} sample images, {default_device()}, {torch.get_num_threads()} threads, "
        f"median of {options.rounds} rounds"
    )
    for name, values in ratios.items():
        print(f"{name:<28}{statistics.median(values):>10.2f}")


if __name__ == "__main__":
    main()
