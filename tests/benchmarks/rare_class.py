"""Copy-paste, sampling and class weights for the rarest class, compared in trainings that differ in nothing else.

Each seed has its own split 80/10/10 and initial weights. All variants of a seed share both, and have the same number of
steps. The best epoch is chosen on the validation part, and the IoU is that of the held-out test part.
"""

from __future__ import annotations

import argparse
import statistics

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.device import default_device, uses_bf16
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.evaluation import evaluate
from trainables.training.resumable_training import epochs, load_best

_SHARE = {"augmentation.rare_share": 0.25, "augmentation.copy_paste": 0.05}
_WEIGHTS = {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 0.3, "loss.class_weight_cap": 30.0}
VARIANTS: dict[str, dict[str, str | float]] = {
    "neither": {},
    "copy-paste": {"augmentation.copy_paste": 0.5},
    "oversampling": {"augmentation.oversampling": 10},
    "both": {"augmentation.copy_paste": 0.5, "augmentation.oversampling": 10},
    "share": _SHARE,
    "weights": _WEIGHTS,
    "share and weights": {**_SHARE, **_WEIGHTS},
}
"""By name, what is changed in the configuration, in the flat form of `TrialConfig`."""


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
            config = TrialConfig.from_flat(
                {
                    "model.depth": options.depth,
                    "model.width": options.width,
                    "loss.name": options.loss,
                    "optimizer.lr": 2e-3,
                    "augmentation.name": "hflip",
                    "training.batch_size": 16,
                    "training.max_epochs": options.epochs,
                    "training.patience": options.epochs,
                    "training.seed": seed,
                    **VARIANTS[name],
                }
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
