"""A search on a cluster: trials per hour, time to the first epoch, time until lost trials run again.

    python -m tests.benchmarks.cluster [--nodes 1 2 4 8]

The nodes are Ray nodes on this machine and trials only sleep, so that the overhead of the engine is measured. The ideal
rate is that of slots without any pause between two trials. The rate is measured from the moment at which each slot has
begun its second trial until the last trial begins. The first trial of a slot starts its process, which later trials
reuse. The column "start" is the time until all of these processes have begun to train.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.tuning.callbacks import Callback
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from search.tuning.search_plan import SearchPlan
from search.tuning.tuner import run_search
from tests.made.studies import epoch_report, study_settings
from trainables.launching.launchers import InlineLauncher
from trainables.messages import EpochReport, TrialRequest

EPOCHS, EPOCH_SECONDS, SLOTS, ROUNDS = 4, 3.0, 2, 8
"""Epochs of a trial, seconds of an epoch, concurrent trials on a node, and trials that each slot runs."""
ROOT = Path(__file__).resolve().parents[2]


def sleeping(request: TrialRequest) -> Iterator[EpochReport]:
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        time.sleep(EPOCH_SECONDS)
        yield epoch_report(epoch, 0.5, ended="max_epochs" if epoch == EPOCHS else None)


class Clock(Callback):
    """Records the times of events, in seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.epochs: list[tuple[float, int]] = []
        """Time and trial number of each epoch."""

    def trial_started(self, record: TrialRecord) -> None:
        self.starts.append(time.monotonic())

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self.epochs.append((time.monotonic(), record.number))


class NodeLoss(Clock):
    """Removes a node once all trials have reported an epoch."""

    def __init__(self, cluster: Any, node: Any, trials: int):
        super().__init__()
        self.cluster, self.node, self.trials = cluster, node, trials
        self.lost_at: float | None = None
        self.broken: set[int] = set()

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        super().epoch_ended(record, report)
        if self.lost_at is None and len({number for _, number in self.epochs}) == self.trials:
            self.lost_at = time.monotonic()
            self.cluster.remove_node(self.node, allow_graceful=False)

    def attempt_failed(self, record: TrialRecord) -> None:
        self.broken.add(record.number)

    @property
    def seconds(self) -> float:
        """Seconds from the loss until the last of the lost trials ran again."""
        assert self.lost_at is not None
        assert self.broken
        again = [min(at for at, number in self.epochs if number == lost and at > self.lost_at) for lost in self.broken]
        return max(again) - EPOCH_SECONDS - self.lost_at


@contextmanager
def cluster_of(nodes: int, slots: int) -> Iterator[tuple[Any, list[Any]]]:
    """Start a cluster with a head that runs no trials; yields the cluster and its nodes."""
    import ray
    from ray.cluster_utils import Cluster

    from search.ray_cluster.session import start_ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        workers = [cluster.add_node(num_cpus=slots) for _ in range(nodes)]
        start_ray(dashboard=False, address=cluster.address)
        yield cluster, workers
    finally:
        ray.shutdown()
        cluster.shutdown()


def run(folder: Path, clock: Clock, *, trials: int, slots: int) -> None:
    settings = study_settings(max_epochs=EPOCHS, grace_epochs=EPOCHS)
    plan = SearchPlan(
        folder=folder,
        settings=settings,
        space=unet_space(PROFILES["cpu"]),
        sampler="random",
        budget=trials,
        launcher=InlineLauncher(cpus=1),
        concurrent=slots,
    )
    ledger = Ledger.create(folder)
    run_search(plan, ledger, sleeping, [clock], Stopping(), Meter({}))
    states = [record.state for record in ledger.records()]
    assert states == ["complete"] * trials, states


def throughput(nodes: int) -> tuple[float, float]:
    """Return the trials per hour with all slots in use, and the seconds until all were in use."""
    slots = nodes * SLOTS
    with tempfile.TemporaryDirectory() as folder, cluster_of(nodes, SLOTS):
        began, clock = time.monotonic(), Clock()
        run(Path(folder) / "study", clock, trials=slots * ROUNDS, slots=slots)
    second, last = clock.starts[2 * slots - 1], clock.starts[-1]
    trained = max(min(at for at, number in clock.epochs if number == first) for first in range(slots)) - EPOCH_SECONDS
    return 3600 * (len(clock.starts) - 2 * slots) / (last - second), trained - began


def node_loss() -> float:
    with tempfile.TemporaryDirectory() as folder, cluster_of(3, SLOTS) as (cluster, workers):
        clock = NodeLoss(cluster, workers[0], trials=2 * SLOTS)
        run(Path(folder) / "study", clock, trials=2 * SLOTS, slots=2 * SLOTS)
    return clock.seconds


def first_epoch() -> tuple[float, float]:
    """Return the seconds from the command to the job's driver and to the first epoch's report, on a running cluster."""
    with tempfile.TemporaryDirectory() as folder, cluster_of_jobs(Path(folder)) as (address, environment):
        command = [sys.executable, str(ROOT / "search/run.py"), "--address", address]
        deadline = time.monotonic() + 120
        while subprocess.run([*command, "--status"], env=environment, capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, "the cluster does not start"
        time.sleep(10)  # its agent starts after its dashboard
        began, driver = time.monotonic(), None
        client = subprocess.Popen(
            [*command, "--budget", "1", "--max-epochs", "1"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdout is not None
        for line in client.stdout:
            if driver is None and line.startswith("data:"):
                driver = time.monotonic() - began
            if "complete" in line:
                break
        first = time.monotonic() - began
        assert client.wait() == 0
    assert driver is not None
    return driver, first


@contextmanager
def cluster_of_jobs(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Start a head that accepts jobs; yields its address and the environment of its clients."""
    (folder / "token").write_text("b" * 64)
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    port = 28100
    scripts = Path(sys.executable).parent
    ports = f"--port={port} --dashboard-port={port + 1} --dashboard-agent-listen-port={port + 2}"
    command = (
        f"start --head --block --num-cpus=1 {ports} --ray-client-server-port={port + 3} --temp-dir=/tmp/mars-{port}"
    )
    head = subprocess.Popen(
        [f"{scripts}/ray", *command.split()],
        env=environment | {"HOME": str(folder), "PATH": f"{scripts}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port + 1}", environment
    finally:
        head.terminate()
        head.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    print(f"trials of {EPOCHS} epochs of {EPOCH_SECONDS:g} s, {SLOTS} at a time on a node")
    print(f"{'nodes':>6}{'slots':>7}{'trials/h':>10}{'ideal':>8}{'ratio':>7}{'start, s':>10}")
    for nodes in options.nodes:
        rate, start = throughput(nodes)
        ideal = nodes * SLOTS * 3600 / (EPOCHS * EPOCH_SECONDS)
        print(f"{nodes:>6}{nodes * SLOTS:>7}{rate:>10.0f}{ideal:>8.0f}{rate / ideal:>7.3f}{start:>10.1f}", flush=True)
    print(f"seconds from the loss of a node until its trials run again: {node_loss():.1f}")
    driver, first = first_epoch()
    print(
        f"seconds from submission to the driver's first line: {driver:.1f}, to the end of the first epoch: {first:.1f}"
    )


if __name__ == "__main__":
    main()
