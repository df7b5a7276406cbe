"""Write a data set in every layout, and compare what is read: `python tests/benchmarks/data/same_in_every_layout.py`.

For each layout the script prints which part of pixels and labels equal those of the first one, and the validation score
of a small network after the same training. Pixels of the ignored class are written as 255, which is ignored, and the
split is the same: it follows from the labels and the seed. AI4Mars keeps its labels in folders for train and test, so
that its images have another order and its split is its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.made.layouts import LAYOUTS, UNLABELLED
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import epochs

FIRST = "npz"
OTHER_ORDER = ("ai4mars",)
"""Layouts that give the images in another order."""
DECLARING = ("ai4mars", "colours")
"""Layouts that say themselves which class is ignored."""


def _written(source: PreparedData) -> np.ndarray:
    """Return the masks with labels 0, 1, ... and 255 for the ignored one."""
    labels = np.zeros(source.description.num_classes, np.uint8)
    labels[list(source.description.scored_labels)] = np.arange(len(source.description.scored_labels))
    if source.description.ignored_label is not None:
        labels[source.description.ignored_label] = UNLABELLED
    return labels[source.masks]


def trained_score(data: PreparedData, folder: Path, count: int) -> float:
    """Return the mean IoU on the validation part after a few epochs of a small network."""
    config = TrialConfig.from_flat(
        {
            "model.depth": 2,
            "model.width": 8,
            "training.batch_size": 16,
            "training.max_epochs": count,
            "training.patience": count,
        }
    )
    parts = {"train": data.split["train"], "validation": data.split["val"]}
    *_, last = epochs(config, data, **parts, checkpoints=CheckpointStore(str(folder)))
    return last.mean_iou or 0.0


def compared(data: PreparedData, first: PreparedData) -> tuple[float, float]:
    """Return which part of the pixels and of the labels equal those of the first layout."""
    by_mask = {mask.tobytes() + image.tobytes() for image, mask in zip(first.images, first.masks, strict=True)}
    if len(data.images) != len(first.images):
        return 0.0, 0.0
    if all(a.tobytes() + b.tobytes() in by_mask for b, a in zip(data.images, data.masks, strict=True)):
        return 1.0, 1.0
    return float((data.images == first.images).mean()), float((data.masks == first.masks).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample", help="npz file or URI; default: the synthetic sample")
    parser.add_argument("--images", type=int, default=400, help="number of images that are written (default: 400)")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    source = prepare(DataSource(uri=options.data))
    images, masks = np.asarray(source.images[: options.images]), _written(source)[: options.images]
    table = Table("layout", "equal pixels", "equal labels", f"mean IoU after {options.epochs} epochs")
    with tempfile.TemporaryDirectory() as scratch:
        first: PreparedData | None = None
        for name in (FIRST, *(name for name in LAYOUTS if name != FIRST)):
            (folder := Path(scratch, name)).mkdir()
            uri = LAYOUTS[name](folder, images, masks)
            ignored = None if name in DECLARING else UNLABELLED
            wanted = DataSource(uri=uri, ignored_label=ignored, keep_outliers=True)
            data = prepare(wanted, cache=Path(scratch, "cache"))
            first = first or data
            equal = compared(data, first)
            score = trained_score(data, Path(scratch, f"{name}-checkpoints"), options.epochs)
            note = " (another order and split)" if name in OTHER_ORDER else ""
            table.add_row(f"{name}{note}", f"{equal[0]:.2%}", f"{equal[1]:.2%}", f"{score:.6f}")
    console = Console()
    console.print(f"{len(images)} images of {source.name}")
    console.print(table)


if __name__ == "__main__":
    main()
