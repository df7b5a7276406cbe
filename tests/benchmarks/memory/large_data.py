"""Memory of training on data larger than it: `python tests/benchmarks/memory/large_data.py --gigabytes 4`.

Photographs of several sizes are made in a folder until their pixels are as many bytes as asked. A process of its own
then prepares the folder and trains epochs on it. It may not allocate more than a limit: RLIMIT_DATA, which the kernel
enforces, bounds its private writable memory. Memory-mapped files do not count, as the kernel drops their pages when it
needs the memory. Printed is the peak of RssAnon of /proc/PID/status, sampled 20 times a second.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
GIGABYTE = 10**9
LEAST = 12
"""Fewest images: they must suffice for a split."""
SIZES = [(768, 1024), (1200, 1600), (600, 900), (1024, 1024), (1500, 1000)]


def make(folder: Path, gigabytes: float) -> int:
    """Write RGB photographs (JPEG) with masks of three classes (PNG); returns the bytes of the pixels of the images."""
    written = 0
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    index = 0
    while written < gigabytes * GIGABYTE or index < LEAST:
        size = SIZES[index % len(SIZES)]
        cells = Image.fromarray(rng.integers(3, size=(6, 8)).astype(np.uint8))
        mask = np.array(cells.resize(size[::-1], Image.Resampling.NEAREST))
        colours = np.array([(60, 60, 160), (60, 160, 60), (160, 60, 60)], np.int16)
        noise = rng.integers(-30, 30, (*size, 1), dtype=np.int16)
        Image.fromarray((colours[mask] + noise).astype(np.uint8)).save(folder / "images" / f"{index:05}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{index:05}.png")
        written, index = written + 3 * mask.size, index + 1
    return written


def train(folder: str, cache: str, epochs: int, fraction: float, limit: int) -> None:
    """Prepare the data and train; runs in the process that is measured."""
    import torch

    from trainables.augmentation.transforms import AugmentationConfig
    from trainables.config import TrainingConfig, TrialConfig
    from trainables.data import DataSource, prepare
    from trainables.models.config import ModelConfig
    from trainables.training.resumable_training import epochs as training

    torch.set_num_threads(os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    started = time.monotonic()
    data = prepare(DataSource(uri=folder), cache=Path(cache))
    stored = sum(file.stat().st_size for file in data.folder.iterdir())
    print(f"prepared {len(data.images)} images, {stored / GIGABYTE:.2f} GB, in {time.monotonic() - started:.0f} s")
    config = TrialConfig(
        model=ModelConfig(depth=3, width=8),
        augmentation=AugmentationConfig(name="hflip", cutmix=0.5, copy_paste=0.5, rare_share=0.25),
        training=TrainingConfig(batch_size=8, max_epochs=epochs),
    )
    part = data.train_part(fraction)
    print(f"training on {int(data.crops(part).sum())} crops of {len(part)} images an epoch", flush=True)
    for report in training(config, data, train=part, validation=data.split["val"]):
        print(
            f"epoch {report.epoch}: {report.train_seconds:.0f} s of training, {report.val_seconds:.0f} s of "
            f"validation, mean IoU {report.mean_iou:.3f}",
            flush=True,
        )


def measured(command: list[str]) -> int:
    """Run a command, and return the largest RssAnon of its process in bytes; exits if it fails."""
    process, peak = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}), 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8"))
        peak = max(peak, 1024 * int(found[1]) if found else 0)
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"the process ended with code {process.returncode}")
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.2, help="bytes of the images' pixels (default: 0.2)")
    parser.add_argument("--limit", type=float, default=1.5, help="gigabytes that may be allocated (default: 1.5)")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--train-fraction", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="where to make the data (default: a temporary folder)")
    parser.add_argument("--measured", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit = int(options.limit * GIGABYTE)
    if options.measured:
        train(*options.measured, options.epochs, options.train_fraction, limit)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place) / "photographs"
        size = make(folder, options.gigabytes)
        print(f"made {size / GIGABYTE:.2f} GB of pixels", flush=True)
        again = ["--measured", str(folder), str(Path(place) / "cache"), "--epochs", str(options.epochs)]
        again += ["--limit", str(options.limit), "--train-fraction", str(options.train_fraction)]
        peak = measured([sys.executable, __file__, *again])
    print(f"peak of allocated memory in use: {peak / GIGABYTE:.2f} GB, of a limit of {options.limit:g} GB")


if __name__ == "__main__":
    main()
