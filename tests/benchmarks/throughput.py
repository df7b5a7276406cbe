"""Training images per second of the epoch loop, compared with a bare loop and a plain DataLoader loop.

- bare: forward pass, loss, backward pass and optimizer step over batches that are already tensors in memory, in the
  same precision and memory layout: an upper bound. It has no shuffling, augmentation, clipping or schedule.
- DataLoader: the same network in fp32 over `torch.utils.data.DataLoader` with its defaults and shuffling, as in
  tutorials.
- this project: `Training.train_epoch`, as every trial runs it, without and with augmentation.

The loops take turns for several rounds; the table shows medians.

    python -m tests.benchmarks.throughput [--rounds 5] [--images 320] [--depth 3] [--width 16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import TrainingConfig, TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.device import autocast, default_device
from trainables.models import build_model
from trainables.models.config import ModelConfig
from trainables.training.trainer import Training

BATCH = 32
AUGMENTED = ("none", "hflip", "flips", "flips+crop")
"""Augmentation sets that are measured here; for the others, see tests/benchmarks/augmentation.py."""


def tensors(data: PreparedData, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(data.images[indices]).float().mul_(data.pixels.scale).unsqueeze(1)
    return images, torch.from_numpy(data.masks[indices]).long()


def bare(data: PreparedData, indices: np.ndarray, config: TrialConfig, bf16: bool) -> Callable[[int], object]:
    device = default_device()
    images, masks = (tensor.to(device) for tensor in tensors(data, indices))
    batches = list(zip(images.split(BATCH), masks.split(BATCH), strict=True))
    batches = [(image.contiguous(memory_format=torch.channels_last), mask) for image, mask in batches]
    model = build_model(config.model, in_channels=1, num_classes=data.description.num_classes)
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def epoch(number: int) -> None:
        for image, mask in batches:
            with autocast(device, bf16):
                logits = model(image)
            loss = functional.cross_entropy(logits.float(), mask, ignore_index=data.description.ignore_index)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        loss.item()

    return epoch


def data_loader(data: PreparedData, indices: np.ndarray, config: TrialConfig) -> Callable[[int], object]:
    device = default_device()
    loader = DataLoader(TensorDataset(*tensors(data, indices)), batch_size=BATCH, shuffle=True)
    model = build_model(config.model, in_channels=1, num_classes=data.description.num_classes).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=data.description.ignore_index)

    def epoch(number: int) -> None:
        for image, mask in loader:
            loss = criterion(model(image.to(device)), mask.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    data = prepare(DataSource(uri="sample"))
    indices = data.split["train"][: options.images // BATCH * BATCH]

    def configured(augmentation: str) -> TrialConfig:
        return TrialConfig(
            model=ModelConfig(depth=options.depth, width=options.width),
            augmentation=AugmentationConfig(name=augmentation),
            training=TrainingConfig(batch_size=BATCH, max_epochs=options.rounds + 1),
        )

    plain = configured("none")
    trainings = {name: Training(configured(name), data, indices, default_device()) for name in AUGMENTED}
    bf16 = trainings["none"].bf16
    ways: dict[str, Callable[[int], object]] = {"bare loop over tensors in memory": bare(data, indices, plain, bf16)}
    ways |= {f"this project, augmentation {name}": training.train_epoch for name, training in trainings.items()}
    ways["DataLoader loop in fp32"] = data_loader(data, indices, plain)

    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, epoch in ways.items():
            started = time.perf_counter()
            epoch(number + 1)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)

    rates = {name: len(indices) / statistics.median(times) for name, times in seconds.items()}
    precision = "bf16" if bf16 else "fp32"
    print(
        f"U-Net depth {options.depth} width {options.width}, batch {BATCH}, {len(indices)} sample images, {precision}, "
        f"{default_device()}, {torch.get_num_threads()} threads, median of {options.rounds} rounds"
    )
    print(f"{'':<44}{'images/s':>10}{'of bare':>10}{'of DataLoader':>15}")
    for name, rate in rates.items():
        floor, loader = rates["bare loop over tensors in memory"], rates["DataLoader loop in fp32"]
        print(f"{name:<44}{rate:>10.1f}{rate / floor:>10.2f}{rate / loader:>15.2f}")


if __name__ == "__main__":
    main()
