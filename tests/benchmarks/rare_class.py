"""The effect of copy-paste and oversampling on the rarest class, from trainings that differ in nothing else.

Each seed has its own split 80/10/10 and initial weights. All variants of a seed share both, and have the same number of
steps. The best epoch is chosen on the validation part, and the IoU is that of the held-out test part.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import TrainingConfig, TrialConfig
from trainables.data import DataSource, prepare
from trainables.device import default_device, uses_bf16
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OptimizerConfig
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.evaluation import evaluate
from trainables.training.resumable_training import epochs, load_best

VARIANTS = {
    "neither": {},
    "copy-paste": {"copy_paste": 0.5},
    "oversampling": {"oversampling": 10},
    "both": {"copy_paste": 0.5, "oversampling": 10},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample", help="npz file or URI; default: the synthetic sample")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--loss", default="cross_entropy")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    parser.add_argument(
        "--checkpoints", required=True, help="folder of checkpoints, from which stopped trainings resume"
    )
    options = parser.parse_args()
    device = default_device()
    gains: dict[str, list[float]] = {name: [] for name in options.variants[1:]}
    for seed in range(options.seeds):
        data = prepare(DataSource(uri=options.data, seed=seed))
        rarest = data.description.class_names[data.rarest_label]
        held = int(data.holds(data.split["test"], data.rarest_label).sum())
        if seed == 0:
            print(
                f"{data.name}, split 80/10/10; U-Net depth {options.depth} width {options.width}, {options.loss}, "
                f"AdamW, OneCycle, {options.epochs} epochs, horizontal flips; IoU of {rarest} on the held-out test part"
            )
            print(f"{'seed':<6}{'images with it':>16}" + "".join(f"{name:>24}" for name in options.variants))
        row, baseline = f"{seed:<6}{held:>16}", None
        for name in options.variants:
            config = TrialConfig(
                model=ModelConfig(depth=options.depth, width=options.width),
                loss=LossConfig(name=options.loss),
                optimizer=OptimizerConfig(lr=2e-3),
                augmentation=dataclasses.replace(AugmentationConfig(name="hflip"), **VARIANTS[name]),
                training=TrainingConfig(batch_size=16, max_epochs=options.epochs, patience=options.epochs, seed=seed),
            )
            store = CheckpointStore(f"{options.checkpoints}/{data.name}-{seed}-{name}")
            for _ in epochs(config, data, train=data.split["train"], validation=data.split["val"], checkpoints=store):
                pass
            bf16 = uses_bf16("auto", device)
            scores = evaluate(load_best(store, data, device), data, data.split["test"], device=device, bf16=bf16)
            iou = scores.class_iou.get(rarest, 0.0)
            if baseline is None:
                baseline = iou
            else:
                gains[name].append(iou - baseline)
            row += f"{f'{iou:.3f} (mean {scores.mean_iou:.3f})':>24}"
        print(row, flush=True)
    for name, values in gains.items():
        better = sum(value > 0 for value in values)
        print(
            f"{name} over {options.variants[0]}: {statistics.fmean(values):+.3f}, better in {better} of {len(values)}"
        )


if __name__ == "__main__":
    main()
