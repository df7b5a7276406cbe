"""Trials per hour with one trial per GPU, and with as many as `--gpus-per-trial auto` chooses. It needs a GPU.

Both searches train the same random configurations for the same number of epochs, without stopping any. "with probe"
includes the time of the probe. `nvidia-smi` samples the GPUs' utilisation and memory once a second.

    python -m tests.benchmarks.placement --data mars.npz [--trials 48] [--epochs 5]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from search.ledger.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")


@dataclass(frozen=True, kw_only=True)
class Run:
    trials: int
    failed: int
    trials_per_gpu: int
    seconds: float
    """Seconds of the whole command."""
    searching: float
    """Seconds from the start of the first trial to the end of the last one."""
    utilisation: float
    """Percent of the time in which a kernel ran, mean over GPUs and the search."""
    memory: float
    """GiB, maximum over GPUs and the search."""


class Watch(threading.Thread):
    """Samples every GPU's utilisation (percent) and memory (MiB) until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float, float]] = []
        """(time, utilisation, memory)"""
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(1):
            done = subprocess.run(QUERY, capture_output=True, text=True, check=True)
            for line in done.stdout.splitlines():
                utilisation, memory = map(float, line.split(","))
                self.samples.append((time.time(), utilisation, memory))

    def stop(self) -> None:
        self._over.set()
        self.join()


def search(gpus: str, options: argparse.Namespace, folder: Path) -> Run:
    arguments = ["--data", options.data, "--name", "study", "--storage", str(folder), "--budget", str(options.trials)]
    arguments += ["--sampler", "random", "--scheduler", "asha-stopping", "--max-epochs", str(options.epochs)]
    arguments += ["--grace-epochs", str(options.epochs), "--profile", options.profile, "--gpus-per-trial", gpus]
    watch, started = Watch(), time.time()
    watch.start()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(ROOT / "search" / "run.py"), *arguments], env=environment, check=True)
    seconds = time.time() - started
    watch.stop()
    ledger = Ledger.open(folder / "study")
    records = [record for record in ledger.records() if record.started and record.ended]
    begin = min(record.started.timestamp() for record in records)
    end = max(record.ended.timestamp() for record in records)
    during = [sample for sample in watch.samples if begin <= sample[0] <= end]
    return Run(
        trials=len(records),
        failed=sum(record.state == "failed" for record in records),
        trials_per_gpu=ledger.placement.trials_per_gpu if ledger.placement else 1,
        seconds=seconds,
        searching=end - begin,
        utilisation=statistics.fmean(utilisation for _, utilisation, _ in during),
        memory=max(memory for *_, memory in during) / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--profile", choices=("gpu", "cpu"), default="gpu", help="sizes of the networks")
    options = parser.parse_args()
    if shutil.which(QUERY[0]) is None or subprocess.run(QUERY, capture_output=True, check=False).returncode:
        sys.exit("no GPU here (nvidia-smi finds none): this benchmark compares searches on one")
    with tempfile.TemporaryDirectory() as folder:
        runs = {gpus: search(gpus, options, Path(folder) / gpus) for gpus in ("1", "auto")}
    print(f"{options.trials} trials of {options.epochs} epochs, profile {options.profile}, {options.data}")
    columns = ("--gpus-per-trial", "trials per GPU", "trials/h", "with probe", "failed", "utilisation %", "memory GiB")
    print("".join(f"{column:>18}" for column in columns))
    for gpus, run in runs.items():
        hourly, whole = (3600 * run.trials / seconds for seconds in (run.searching, run.seconds))
        print(
            f"{gpus:>18}{run.trials_per_gpu:>18}{hourly:>18.1f}{whole:>18.1f}{run.failed:>18}{run.utilisation:>18.1f}"
            f"{run.memory:>18.1f}"
        )
    alone, auto = runs["1"], runs["auto"]
    print(
        f"trials per hour: {alone.searching / auto.searching:.2f} times ({alone.seconds / auto.seconds:.2f} with probe)"
    )


if __name__ == "__main__":
    main()
