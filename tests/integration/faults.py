"""What the random faults of `chaos.py` happen to: a Ray cluster of three nodes on this machine, and a driver on it."""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from search.exit_status import BROKEN
from search.ledger.ledger import Ledger
from search.tuning.run_end import Stopping
from tests.processes.loops import QUICK_EPOCHS, quick_trial
from tests.processes.scripts import ROOT, Fork

ENDS_WITHIN = 180.0
"""Seconds in which a driver that cannot continue ends by itself, however busy the machine is."""
HUNG_AFTER = 20.0
"""Seconds without a report after which the driver kills a trial's process."""
DISK_MIB = 64


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a file system of its own that can be filled; where none can be mounted, any folder."""
    with tempfile.TemporaryDirectory() as scratch:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", scratch]
        mounted = shutil.which("mount") and not subprocess.run(mount, capture_output=True, check=False).returncode
        try:
            yield Path(scratch)
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", scratch], check=True)


def drive(folder: Path, trials: int, slots: int) -> None:
    """One driver, as `search/run.py` is one."""
    import ray

    from search.checkpoints.retention import CheckpointRetention
    from search.locking.folder_lock import study_lock
    from search.ray_cluster.processes import control_server_watched
    from search.ray_cluster.session import start_ray
    from search.study.profiles import PROFILES
    from search.study.unet_space import unet_space
    from search.tuning import hang_watch
    from search.tuning.meter import Meter
    from search.tuning.search_plan import SearchPlan
    from search.tuning.tuner import run_search
    from tests.made.studies import study_settings
    from trainables.launching.launchers import InlineLauncher

    start_ray(dashboard=False)
    hang_watch.FIRST_SECONDS = 3 * HUNG_AFTER  # these trials need no time to their first report
    plan = SearchPlan(
        folder=folder,
        settings=study_settings(max_epochs=QUICK_EPOCHS, reduction_factor=2, scheduler="asha-promotion"),
        space=unet_space(PROFILES["cpu"]),
        sampler="forest",
        budget=trials,
        launcher=InlineLauncher(cpus=1),
        concurrent=slots,
        max_failures=10**6,
        hang_timeout=HUNG_AFTER,
    )
    root = str(folder.resolve() / "checkpoints")
    stopping = Stopping()
    server = ray.get_runtime_context().gcs_address
    with study_lock(folder), control_server_watched(server, 2.0, lambda: os._exit(BROKEN)):
        ledger = Ledger.create(folder)
        keeper = CheckpointRetention(root, ledger.records())
        run_search(plan, ledger, functools.partial(quick_trial, root=root), [keeper], stopping, Meter({}))
    ray.shutdown()
    sys.exit(stopping.exit_code)


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

    def happen(self, fault: str, random_: random.Random) -> bool:
        """Let that fault happen; whether it could. Afterwards the machine is whole, but its driver may have ended."""
        assert self.driver is not None
        kinds: dict[str, Callable[[random.Random], bool]] = {
            "driver killed": self._kill_driver,
            "trial killed": self._kill_trial,
            "trial stopped": self._stop_trial,
            "raylet killed": self._kill_raylet,
            "node removed": self._remove_node,
            "control server killed": self._kill_control_server,
            "head removed": self._remove_head,
            "disk full": self._fill_disk,
        }
        return kinds[fault](random_)

    def _kill_driver(self, random_: random.Random) -> bool:
        assert self.driver is not None
        self.driver.kill()
        self.driver.wait()
        return True

    def _kill_trial(self, random_: random.Random, *, stopped: bool = False) -> bool:
        found = trial_processes()
        if not found:
            return False
        with suppress(psutil.NoSuchProcess):
            process = random_.choice(found)
            process.suspend() if stopped else process.kill()
        return True

    def _stop_trial(self, random_: random.Random) -> bool:
        return self._kill_trial(random_, stopped=True)

    def _kill_raylet(self, random_: random.Random) -> bool:
        node = random_.choice(self.workers)
        for info in node.all_processes["raylet"]:
            psutil.Process(info.process.pid).kill()
        self._replace(node)
        return True

    def _remove_node(self, random_: random.Random) -> bool:
        self._replace(random_.choice(self.workers))
        return True

    def _replace(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers[self.workers.index(node)] = self.cluster.add_node(num_cpus=1)

    def _kill_control_server(self, random_: random.Random) -> bool:
        for info in self.cluster.head_node.all_processes["gcs_server"]:
            psutil.Process(info.process.pid).kill()
        self._driver_ends()
        return self._remove_head(random_)

    def _remove_head(self, random_: random.Random) -> bool:
        self.cluster.shutdown()
        self._driver_ends()
        self.start_cluster()
        return True

    def _fill_disk(self, random_: random.Random) -> bool:
        folder = self.arguments[0].parent
        if not os.path.ismount(folder):
            return False
        filler = folder / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, check=False)
        try:
            self._driver_ends()
        finally:
            filler.unlink()
        return True

    def _driver_ends(self) -> None:
        """It ends by itself, and says that something outside it has to be put right."""
        assert self.driver is not None
        code = self.driver.wait(ENDS_WITHIN)
        assert code in (0, BROKEN), f"exit code {code}, see {self.logs}"

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
