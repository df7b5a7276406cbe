"""Seconds of the commands that read a study, for studies of 200 to 10,000 trials, and how they grow with the trials.

- dry run: `search/run.py --dry-run`, which continues the study.
- status: `search/run.py --status NAME`.
- report: `reports/run.py --no-submission`, which trains nothing; the weights of the best trials are untrained.
- replay: `search/replay.py` with two settings and two simulated searches each, of 1,000 epochs. The number of simulated
  searches stays the same, so that the model of the recorded curves makes the difference.

Beside the seconds of the clock, the table has the CPU seconds of the command, which other programs disturb less. The
baselines are the same commands on a study of 50 trials, and the mere imports of the command. A study is what a killed
driver leaves: the real searcher, scheduler, recorder and ledger simulate it with configurations from the default space.
Its trials have 12 to 100 epochs and are complete, pruned, paused, failed or still running. A command that takes longer
than `--limit` is killed.

    python -m tests.benchmarks.large_studies [--trials 200 2000 10000] [--limit 600] [--folder DIR] [--only report]
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search.checkpoints.retention import KEPT
from search.checkpoints.root import claim
from search.cli.options.search_parser import parse
from search.cli.planning import make_settings
from search.ledger.ledger import FILE, Ledger
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.library_output import quiet_optuna
from search.sampling.portfolio import portfolio_points
from search.simulation.simulator import Simulation, simulate
from search.study.profiles import PROFILES
from search.study.settings import CHECKPOINTS
from search.study.space_record import described
from search.tuning.callbacks import Callback
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.messages import EpochReport
from trainables.models import build_model
from trainables.training.checkpoint_store import checkpoint_store

PROJECT = Path(__file__).resolve().parents[2]
BASELINE = 50
SLOTS = 8
GRACE_EPOCHS, MAX_EPOCHS = 12, 100
SEARCH = f"--data sample --profile cpu --patience 50 --grace-epochs {GRACE_EPOCHS} --max-epochs {MAX_EPOCHS}".split()
REPLAY = f"--sampler random --reduction-factor 3 --grace-epochs {GRACE_EPOCHS} 100 --epochs 1000 --seeds 2".split()
DIVERGING = 0.0015
"""Probability that a trial diverges in an epoch."""


class Killed(BaseException):
    """Ends the simulated driver. It is no `Exception`, so nothing handles it."""


class Kill(Callback):
    """Kills the driver when the trial with this number starts."""

    def __init__(self, number: int):
        self.number = number

    def trial_started(self, record: TrialRecord) -> None:
        if record.number == self.number:
            raise Killed


def reports(record: TrialRecord, classes: list[str]) -> Iterator[EpochReport]:
    """Yield the epochs of a trial: a noisy learning curve that depends on its configuration."""
    chance, config = random.Random(record.number), record.config
    size = config["model.width"] / 16 * 2 ** config["model.depth"] / 16
    top = 0.35 + 0.15 * min(1.0, size) + 0.25 * chance.random() - 0.2 * config["model.dropout"]
    rate = 0.02 + 0.1 * chance.random()
    best, best_epoch = -1.0, 0
    for epoch in range(1, MAX_EPOCHS + 1):
        score = max(0.0, top * (1 - math.exp(-rate * epoch)) + chance.gauss(0.0, 0.015))
        if score > best:
            best, best_epoch = score, epoch
        ended = "max_epochs" if epoch == MAX_EPOCHS else None
        if epoch > GRACE_EPOCHS and chance.random() < DIVERGING:
            ended = "diverged"
        elif epoch - best_epoch >= config["training.patience"]:
            ended = "early_stopping"
        yield EpochReport(
            epoch=epoch,
            train_loss=1.4 * (1 - score) + chance.gauss(0.0, 0.01),
            val_loss=1.5 * (1 - score) + chance.gauss(0.0, 0.02),
            score=score,
            mean_iou=score,
            class_iou={name: min(1.0, score * (0.6 + 0.8 * chance.random())) for name in classes},
            best_score=best,
            best_epoch=best_epoch,
            learning_rate=1e-3 * (1 - epoch / (MAX_EPOCHS + 1)),
            gradient_norm=chance.lognormvariate(-1.0, 0.3),
            images_per_second=150 / max(0.1, size),
            train_seconds=10 * size * (1 + 0.1 * chance.random()),
            val_seconds=size,
            parameters=int(500_000 * size),
            checkpoint_seconds=0.05,
            ended=ended,
        )
        if ended is not None:
            return


def make_study(folder: Path, trials: int, data: PreparedData) -> Ledger:
    """Create a study with that many trials, the last of which has begun, and the weights of the best ones."""
    options = parse([*SEARCH, "--storage", str(folder.parent), "--name", folder.name])
    settings = make_settings(options, data, PROFILES[options.profile], CHECKPOINTS)
    space, classes = settings.search_space(), [data.description.class_names[label] for label in data.present_labels]
    ledger = Ledger.create(folder)
    claim(settings.checkpoint_root(folder), ledger, folder)
    ledger.settings, ledger.space = dataclasses.asdict(settings), described(space)
    ledger.enqueue(portfolio_points(space))
    simulation = Simulation(settings=settings, space=space, sampler="random", trials=2 * trials, slots=SLOTS)
    with suppress(Killed):
        simulate(simulation, lambda record: reports(record, classes), ledger, [Kill(trials - 1)])
    for record in ranked(ledger.records())[:KEPT]:
        checkpoint_store(settings.checkpoint_root(folder), record.number).save("best", untrained(record, data))
    return ledger


def untrained(record: TrialRecord, data: PreparedData) -> dict[str, object]:
    """Return the content of `best.pt` of the trial, with the weights that its model begins with."""
    config, described = TrialConfig.from_flat(record.config), data.description
    model = build_model(
        config.model, in_channels=1, num_classes=described.num_classes, ignored_label=described.ignored_label
    )
    identity = {"config": config.to_flat(), "data": data.fingerprint}
    assert record.best is not None
    return {"identity": identity, "epoch": record.best.epoch, "model": model.state_dict()}


def commands(folder: Path, trials: int) -> dict[str, list[str]]:
    search = ["search/run.py", "--storage", str(folder.parent)]
    return {
        "dry run": [*search, *SEARCH, "--name", folder.name, "--dry-run", "--budget", str(2 * trials)],
        "status": [*search, "--status", folder.name],
        "report": ["reports/run.py", str(folder), "--no-submission", "--no-onnx"],
        "replay": ["search/replay.py", str(folder), *REPLAY],
    }


IMPORTS = {
    "dry run": "search.cli.dry_run",
    "status": "search.cli.local_studies",
    "report": "reports.command",
    "replay": "search.cli.replay_command",
}
"""Module that each command imports after it has parsed its options."""


@dataclass(frozen=True)
class Took:
    """Seconds that a command took."""

    clock: float
    cpu: float
    """Of all its processes that have ended by themselves, which excludes those of Ray."""

    def __str__(self) -> str:
        return f"{self.clock:.1f} ({self.cpu:.1f})"


def timed(command: list[str], limit: float) -> Took | None:
    """Return the seconds of a Python command; None if it was killed because it takes longer than the limit.

    Raises:
        RuntimeError: if it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started, before = time.perf_counter(), children_cpu()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=environment | {"PYTHONPATH": str(PROJECT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        took = Took(time.perf_counter() - started, children_cpu() - before)
        if code != 0:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with code {code}:\n{output.read()}")
    return took


def children_cpu() -> float:
    """Return the CPU seconds of all ended children of this process, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def growth(measured: dict[int, Took | None]) -> str:
    """Return the exponent of the CPU seconds beyond the baseline, between the smallest and the largest finite size."""
    baseline = measured.pop(BASELINE)
    finite = {trials: took.cpu - baseline.cpu for trials, took in measured.items() if took and baseline}
    beyond = {trials: seconds for trials, seconds in finite.items() if seconds > 0}
    if len(beyond) < 2:
        return "-"
    (few, least), (many, most) = min(beyond.items()), max(beyond.items())
    return f"{math.log(most / least) / math.log(many / few):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2_000, 10_000])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a command may take")
    parser.add_argument("--folder", type=Path, help="keep the studies there, and use those that are there")
    parser.add_argument("--only", nargs="+", choices=IMPORTS, default=list(IMPORTS), help="commands to measure")
    options = parser.parse_args()
    quiet_optuna()
    data, sizes = prepare(DataSource(uri="sample", seed=0)), [BASELINE, *sorted(options.trials)]
    with tempfile.TemporaryDirectory() as scratch:
        root = options.folder or Path(scratch)
        for trials in sizes:
            folder, started = root / f"of-{trials}", time.perf_counter()
            ledger = Ledger.open(folder) if folder.exists() else make_study(folder, trials, data)
            describe(folder, ledger, time.perf_counter() - started)
        columns = ["imports", *(f"{trials:,}" for trials in sizes), "exponent"]
        print(f"{'clock (CPU)':<12}" + "".join(f"{column:>16}" for column in columns), flush=True)
        for name in options.only:
            print(f"{name:<12}{timed(['-c', f'import {IMPORTS[name]}'], options.limit)!s:>16}", end="", flush=True)
            measured = {}
            for trials in sizes:
                command = commands(root / f"of-{trials}", trials)[name]
                measured[trials] = took = timed(command, options.limit)
                print(f"{took or f'> {options.limit:.0f}'!s:>16}", end="", flush=True)
            print(f"{growth(measured):>16}", flush=True)
    print(
        f"seconds; exponent: of the CPU seconds beyond those of {BASELINE} trials, 1.00 is proportional to the trials"
    )


def describe(folder: Path, ledger: Ledger, took: float) -> None:
    """Print what the study holds."""
    records = ledger.records()
    states = Counter(record.shown_state for record in records)
    epochs, size = sum(len(record.reports) for record in records), (folder / FILE).stat().st_size / 2**20
    shown = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    print(f"{len(records):,} trials ({shown}), {epochs:,} epochs, {size:.0f} MiB, made in {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
