"""Kills parts of a search at random, over and over, and compares its ledger with that of an undisturbed one.

A study of quick trials runs on a Ray cluster of three nodes on this machine. Until all kills are spent, one of these
dies by SIGKILL at a random moment: the driver, a trial's process, a worker node's raylet, the head with everything on
it. The same command goes on each time. With one slot the ledger must equal, trial by trial (configuration, state,
epochs told), that of a run that nobody disturbed; with several it must hold the same number of trials, each whole.

    python -m tests.integration.chaos --kills 50 --trials 40
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from search.ledger import Ledger
from search.trial_record import TrialRecord
from tests.loops import QUICK_EPOCHS, quick_trial
from tests.scripts import ROOT, Fork

PATIENCE_SECONDS = 900
"""A run that takes longer than this behind the last kill hangs."""
TARGETS = {"driver": 4, "trial": 4, "node": 2, "head": 1}
"""What dies, and how often in proportion."""


def drive(folder: Path, trials: int, slots: int) -> None:
    """One driver, as `search/run.py` is one."""
    import ray

    from search.connection import start_ray
    from search.costs import Meter
    from search.housekeeping import Housekeeping
    from search.profiles import PROFILES
    from search.space import unet_space
    from search.stopping import Stopping
    from search.study_lock import study_lock
    from search.tuner import SearchPlan, run_search
    from tests.studies import study_settings
    from trainables.launchers import InlineLauncher

    start_ray(dashboard=False)
    plan = SearchPlan(
        folder=folder,
        settings=study_settings(max_epochs=QUICK_EPOCHS, reduction_factor=2, asha="promotion"),
        space=unet_space(PROFILES["cpu"]),
        sampler="forest",
        budget=trials,
        launcher=InlineLauncher(cpus=1),
        concurrent=slots,
        max_failures=10**6,
    )
    root = str(folder.resolve() / "checkpoints")
    with study_lock(folder):
        ledger = Ledger.create(folder)
        keeper = Housekeeping(root, ledger.records())
        run_search(plan, ledger, functools.partial(quick_trial, root=root), [keeper], Stopping(), Meter({}))
    ray.shutdown()


class Machine:
    """A Ray cluster on this machine, and the driver that runs on it."""

    def __init__(self, folder: Path, trials: int, slots: int):
        self.arguments = (folder, trials, slots)
        self.logs = folder.with_suffix(".logs")
        self.driver: Fork | None = None
        self.start_cluster()

    def start_cluster(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}, shutdown_at_exit=True
        )
        self.workers = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def start_driver(self) -> None:
        environment = os.environ | {"RAY_ADDRESS": self.cluster.address}
        self.driver = Fork(drive, self.arguments, cwd=ROOT, logs=self.logs, environment=environment)

    def kill(self, target: str, random_: random.Random) -> bool:
        """Whether there was something to kill."""
        if target == "driver":
            assert self.driver is not None
            self.driver.kill()
        elif target == "trial":
            found = trial_processes()
            if not found:
                return False
            with suppress(psutil.NoSuchProcess):
                random_.choice(found).kill()
        elif target == "node":
            index = random_.randrange(len(self.workers))
            self.cluster.remove_node(self.workers[index], allow_graceful=False)
            self.workers[index] = self.cluster.add_node(num_cpus=1)
        else:
            self.cluster.shutdown()
            self.start_cluster()
        return True

    def close(self) -> None:
        if self.driver is not None:
            self.driver.kill()
        self.cluster.shutdown()


def trial_processes() -> list[psutil.Process]:
    """Of the cluster's workers, which descend from this process, those that run a trial."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith("ray::ImplicitFunc"):
                found.append(process)
    return found


def disturbed(folder: Path, trials: int, slots: int, kills: int, seed: int) -> Counter[str]:
    """Run a study to its end while parts of it are killed; returns how often each died."""
    random_, killed = random.Random(seed), Counter[str]()
    machine = Machine(folder, trials, slots)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        machine.start_driver()
        while True:
            assert machine.driver is not None
            pause = random_.uniform(0.2, 4.0)
            try:
                code = machine.driver.wait(timeout=pause if killed.total() < kills else deadline - time.monotonic())
            except subprocess.TimeoutExpired:
                code = None
            if code == 0:
                return killed
            if code is None:
                assert time.monotonic() < deadline, f"the search hangs, see {machine.logs}"
                target = random_.choices(list(TARGETS), list(TARGETS.values()))[0]
                if machine.kill(target, random_):
                    killed[target] += 1
                    deadline = time.monotonic() + PATIENCE_SECONDS
                    print(f"{killed.total():>3}: killed {target}", flush=True)
            if code is not None or target in ("driver", "head"):
                with suppress(subprocess.TimeoutExpired):  # a driver may live on for a while without its cluster
                    machine.driver.wait(random_.choice((0.1, 15)))
                machine.driver.kill()
                machine.driver.wait()
                machine.start_driver()
    finally:
        machine.close()


def undisturbed(folder: Path, trials: int) -> list[TrialRecord]:
    """The records of a run with one slot that nobody touches."""
    disturbed(folder, trials, slots=1, kills=0, seed=0)
    return Ledger.open(folder).records()


def told(record: TrialRecord) -> tuple[object, ...]:
    epochs = [(report.epoch, report.mean_iou) for report in record.reports]
    return record.number, record.state, record.config, epochs


def check_equal(records: list[TrialRecord], expected: list[TrialRecord]) -> None:
    """Trial by trial: configuration, state, epochs told."""
    for record, other in zip(records, expected, strict=True):
        assert told(record) == told(other), f"trial {record.number}: {told(record)} is not {told(other)}"


def check_invariants(folder: Path, trials: int) -> None:
    """What holds for every ledger of a finished study."""
    records = Ledger.open(folder).records()
    assert len(records) == trials, f"{len(records)} trials instead of {trials}"
    assert len({json.dumps(record.config, sort_keys=True) for record in records}) == trials, (
        "a configuration came twice"
    )
    for record in records:
        unknown = [failure.message for failure in record.failures if failure.kind == "error"]
        assert not unknown, f"trial {record.number} broke by itself: {unknown}"
        assert record.state in ("complete", "pruned"), (record.number, record.state, record.error)
        epochs = [report.epoch for report in record.reports]
        assert epochs == list(range(1, len(epochs) + 1)), (record.number, epochs)
        assert (len(epochs) == QUICK_EPOCHS) == (record.state == "complete"), (record.number, record.state, epochs)
    kept = [path.parent.name for path in folder.glob("checkpoints/*/*.pt")]
    assert not kept, f"checkpoints of ended trials stayed: {kept}"  # these trials save no best.pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        expected = undisturbed(Path(scratch) / "undisturbed", options.trials)
        for slots in options.slots:
            folder = Path(scratch) / f"slots-{slots}"
            started = time.monotonic()
            killed = disturbed(folder, options.trials, slots, options.kills, options.seed)
            check_invariants(folder, options.trials)
            if slots == 1:
                check_equal(Ledger.open(folder).records(), expected)
            failures = Counter(failure.kind for record in Ledger.open(folder).records() for failure in record.failures)
            verdict = "equals the undisturbed run" if slots == 1 else "every trial is whole"
            print(
                f"{slots} slots: {options.trials} trials in {time.monotonic() - started:.0f} s, {dict(killed)} killed, "
                f"failures in the ledger {dict(failures)}: {verdict}",
                flush=True,
            )


if __name__ == "__main__":
    from tests.integration import chaos  # under a name by which trial processes find it, too

    chaos.main()
