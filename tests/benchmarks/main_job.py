"""The whole job in a given time, compared with other uses of the same time, by scores on labels that no arm has seen.

For each split seed, a tenth of the labelled images is split off as a study splits off its test part. It becomes the
test set of a new file, without labels; the rest of the images is the training set. Each arm has the same time:

- default: `search/run.py --time-budget M --then-report`, whose submission is scored;
- report-a: the best system of report A (`a-onecycle`: U-Net of 32 to 512 filters, cross-entropy ignoring class 0,
  AdamW, OneCycle), trained for as many epochs as fit on the whole training set, with horizontal flips averaged;
- small: a plain U-Net of depth 3 and width 16, trained and averaged in the same way.

With --without, each named part of the default arm is switched off once. All arms are scored in the same way: from the
confusion matrices of the test images, with a paired bootstrap over images, pooled over splits. Results are kept in
--folder, so that a stopped benchmark continues, and arms can be run one by one. Run nothing else on the machine.

    python -m tests.benchmarks.main_job --data mars.npz --folder main-job --minutes 60 --splits 3
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pyarrow import csv

from reports.prediction.scores_with_intervals import Confusions, confusion
from search import ROOT
from search.study.systems import SYSTEMS
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.device import default_device, uses_bf16
from trainables.models.config import ModelConfig
from trainables.prediction.metric import MEAN_IOU
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import epochs, load_best
from trainables.training.trainer import Training

DEFAULT = "default"
RIVALS = ("report-a", "small")
SEARCH_PARTS = {"portfolio": ["--no-portfolio"], "average": ["--ema-decay", "0"]}
"""Parts of the search, with the options that switch each of them off."""
REPORT_PARTS = {"members": ["--members", "1"], "decision": ["--plain-labels"], "retraining": ["--no-retrain"]}
"""Parts of the report, with the options that switch each of them off in a new report on the default arm's study."""
SEARCHED = 0.4
"""The search's part of the minutes, as in `search/cli/then_report.py`."""
SECONDS = 60.0


def held_out(options: argparse.Namespace, seed: int) -> tuple[Path, Path]:
    """Return the data file of a split and the labels of its test set; write them if they do not exist."""
    folder = options.folder / f"split-{seed}"
    learned, labels = folder / "learned.npz", folder / "labels.npy"
    if not labels.exists():
        folder.mkdir(parents=True, exist_ok=True)
        data = prepare(DataSource(uri=options.data, seed=seed))
        test, described = data.split["test"], data.description
        rest = np.setdiff1d(np.arange(len(data.images)), test)
        ignored = {} if described.ignored_label is None else {"ignored_label": described.ignored_label}
        np.savez(
            learned,
            training_set=np.stack([data.images[rest], data.masks[rest]], axis=1),
            test_set=data.images[test],
            class_names=np.array(described.class_names),
            **ignored,
        )
        np.save(labels, data.masks[test])
    return learned, labels


def rival(name: str, data: PreparedData, seconds: float, folder: Path) -> np.ndarray:
    """Train for as many epochs as fit, and return the predicted labels of the test set (N, H, W) uint8."""
    config = TrialConfig.from_flat(SYSTEMS["a-onecycle"].config)
    if name == "small":
        config = dataclasses.replace(config, model=ModelConfig(depth=3, width=16))
    device = default_device()
    every = np.arange(len(data.images))
    part = every[: 4 * config.training.batch_size]
    timed = [Training(config, data, part, device).train_epoch(1).seconds / 4 for _ in range(2)][-1]
    length = max(1, int(0.95 * seconds / (timed * (len(every) // config.training.batch_size))))
    training = dataclasses.replace(config.training, max_epochs=length, patience=length)
    store = CheckpointStore(str(folder / "checkpoints"))
    config = dataclasses.replace(config, training=training)
    for report in epochs(config, data, train=every, validation=None, checkpoints=store):
        print(f"  {name} epoch {report.epoch}/{length}  loss {report.train_loss:.4f}", flush=True)
    assert data.unlabelled is not None
    predictor = Predictor(
        models=[load_best(store, data, device)],
        pixels=data.pixels,
        device=device,
        bf16=uses_bf16(config.training.precision, device),
        suppressed=data.description.ignored_label,
        flips=FLIPS[:2],
    )
    return np.concatenate(list(predictor.labels(data.unlabelled)))


def run(script: str, *arguments: str, folder: Path) -> None:
    command = [sys.executable, str(ROOT / script), *arguments]
    with (folder / "output.log").open("a") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=True)


def submitted(folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    table = csv.read_csv(folder / "submission.csv").drop(["id"])
    return np.stack([column.to_numpy() for column in table.columns], axis=1).astype(np.uint8).reshape(shape)


def labels_of(arm: str, learned: Path, folder: Path, options: argparse.Namespace, shape: tuple[int, ...]) -> np.ndarray:
    """Run an arm, and return its predicted labels of the test set."""
    minutes = options.minutes
    if arm in RIVALS:
        return rival(arm, prepare(DataSource(uri=str(learned))), minutes * SECONDS, folder)
    part = arm.removeprefix("without ")
    study = folder / "runs" / "job"
    if part in REPORT_PARTS:
        shutil.copytree(folder.parent / DEFAULT / "runs", folder / "runs", dirs_exist_ok=True)
        shutil.rmtree(study / "report", ignore_errors=True)
        time_left = f"{(1 - SEARCHED) * minutes * SECONDS:.0f}s"
        run("reports/run.py", str(study), "--time-budget", time_left, *REPORT_PARTS[part], folder=folder)
    else:
        data, budget = ["--data", str(learned), "--name", "job"], ["--time-budget", f"{minutes}m", "--then-report"]
        run("search/run.py", *data, "--budget", "999", *budget, *SEARCH_PARTS.get(part, []), folder=folder)
    return submitted(study / "report", shape)


def scored(arm: str, seed: int, options: argparse.Namespace) -> Confusions:
    """Return the confusions of an arm on one split. The arm is run if it has no result yet."""
    learned, path = held_out(options, seed)
    truth, data = np.load(path), prepare(DataSource(uri=str(learned.resolve())))
    folder = (options.folder / f"split-{seed}" / arm.replace(" ", "-")).resolve()
    result = folder / "labels.npy"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        labels = labels_of(arm, learned.resolve(), folder, options, truth.shape)
        np.save(result, labels)
        (folder / "seconds.json").write_text(json.dumps(time.monotonic() - started))
    return confusions_of(data, truth, np.load(result))


def confusions_of(data: PreparedData, truth: np.ndarray, labels: np.ndarray) -> Confusions:
    """Compare true and predicted labels of the test set, (N, H, W) each."""
    described = data.description
    counts = np.stack([confusion(*pair, described.num_classes) for pair in zip(truth, labels, strict=True)])
    if described.ignored_label is not None:
        counts[:, described.ignored_label] = 0
    return Confusions(
        counts=counts,
        names=described.class_names,
        scored=data.present_labels,
        ignored=described.ignored_label,
        metric=MEAN_IOU,
    )


def pooled(parts: list[Confusions]) -> Confusions:
    return dataclasses.replace(parts[0], counts=np.concatenate([part.counts for part in parts]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="npz file or URI")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the data files, studies and results")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--splits", type=int, default=3)
    parts = [*SEARCH_PARTS, *REPORT_PARTS]
    parser.add_argument("--without", nargs="*", choices=parts, default=[], help="parts to switch off, one at a time")
    parser.add_argument("--arms", nargs="+", choices=(DEFAULT, *RIVALS), default=[DEFAULT, *RIVALS])
    options = parser.parse_args()
    arms = [*options.arms, *(f"without {part}" for part in options.without)]
    found: dict[str, list[Confusions]] = {arm: [] for arm in arms}
    for seed in range(options.splits):
        for arm in arms:
            found[arm].append(scored(arm, seed, options))
            print(f"split {seed}  {arm:<20} {found[arm][-1].interval()}", flush=True)
    print(f"\n{options.minutes} minutes each, {options.splits} splits pooled, 95 % intervals over images")
    together = {arm: pooled(each) for arm, each in found.items()}
    for arm, confusions in together.items():
        classes = "  ".join(f"{name} {interval}" for name, interval in confusions.class_intervals().items())
        print(f"{arm:<20} {confusions.interval()}  {classes}")
    if DEFAULT in together:
        for arm in arms[1:]:
            gain = together[DEFAULT].gain_over(together[arm])
            interval = f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
            print(f"default over {arm:<20} {100 * gain.value:+.1f} points {interval}")


if __name__ == "__main__":
    main()
