from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from search.ledger.ledger import Ledger
from tests.made.competition import MARS_KEYS
from tests.processes.ports import free_port
from tests.processes.scripts import HANGS_AFTER, Script, run_script
from tests.processes.tokens import use_token

Command = Callable[..., subprocess.CompletedProcess[str]]
Driver = Callable[..., Script]

ONE = ("--max-concurrent", "1")
"""For searches in which concurrent trials would prove nothing more: each trial process takes seconds to start."""


def tiny_pairs(count: int = 24) -> np.ndarray:
    """(count, 2, 16, 24) uint8: images whose brightness gives their labels 0 to 4 away."""
    masks = np.random.default_rng(0).integers(0, 5, (count, 4, 6)).repeat(4, axis=1).repeat(4, axis=2)
    return np.stack([masks * 50 + 20, masks], axis=1).astype(np.uint8)


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    pairs = tiny_pairs()
    np.savez(path, training_set=pairs, test_set=pairs[:5, 0], **MARS_KEYS)
    return path


@pytest.fixture
def command(tmp_path: Path, logs: Path) -> Command:
    """Runs a script of the project as a user does, with its studies in a folder of the test."""

    def run(
        script: str, *arguments: object, timeout: float = HANGS_AFTER, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COLUMNS": "160"}
        return run_script(script, arguments, cwd=cwd, logs=logs, environment=environment, timeout=timeout)

    return run


@pytest.fixture
def driver(data_file: Path, tmp_path: Path, logs: Path) -> Iterator[Driver]:
    """Starts a search of the study `study` and waits until its ledger holds so many epochs."""
    started = []

    def start(*arguments: object, cwd: Path = tmp_path, epochs: int = 1) -> Script:
        process = Script("search/run.py", ["--data", data_file, *arguments], cwd=cwd, logs=logs)
        started.append(process)
        deadline = time.monotonic() + HANGS_AFTER
        while epochs_in(cwd / "runs" / "study") < epochs:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr
            time.sleep(0.25)  # to open a ledger takes a while, too
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def epochs_in(folder: Path) -> int:
    """Those that the ledger of a study holds, if there is one yet."""
    try:
        ledger = Ledger.find(folder)
    except ValueError:  # it has been made just now, and its study not yet
        return 0
    return sum(len(record.reports) for record in ledger.records()) if ledger else 0


@pytest.fixture(scope="package")
def ray_head() -> Iterator[str]:
    """The address of a Ray of two CPUs, with the dashboard that worker groups need, which these tests share."""
    from ray.cluster_utils import Cluster

    use_token()
    port = free_port()
    node = {"num_cpus": 2, "include_dashboard": True, "dashboard_port": port}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{port}")  # for the cleaners of worker groups
        cluster = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=True)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def ray_cluster(ray_head: str) -> Iterator[None]:
    """This process's connection to it."""
    import ray

    from search.ray_cluster.session import start_ray

    start_ray(dashboard=True, address=ray_head)
    yield
    ray.shutdown()
