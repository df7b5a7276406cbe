"""Before the first trial: whether the nodes of a cluster can do what a trial will ask of them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
import uuid
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from search.cluster_size import process_demand
from trainables.checkpoints import CheckpointStore, below
from trainables.data import DataSource
from trainables.data.source import SAMPLE, find
from trainables.failures import StorageError
from trainables.launchers import Launcher

ANSWER_SECONDS = 180
"""A node that is there must answer so soon."""
START_SECONDS = 1800
"""A cluster that starts its nodes on demand must have one so soon."""
MOST_CLOCK_SECONDS = 60
"""Clocks may differ by so much; object stores refuse what is signed with a clock that is minutes off."""


def probe_nodes(console: Console, launcher: Launcher, checkpoints: str, data: DataSource) -> None:
    """Let a process on each node that could run a trial write a checkpoint, look for the data and tell its versions.

    Args:
        console: is told of what takes long.
        launcher: of the trials; where no node has room for one, the autoscaler is given time to start one.
        checkpoints: the study's, a path or URI.
        data: of the study.

    Raises:
        ValueError: naming each node and what is wrong with it.
    """
    folder = below(checkpoints, f"probe-{uuid.uuid4().hex[:8]}")
    store = CheckpointStore(folder, pauses=())
    here, demand = _versions(), process_demand(launcher)
    able = [node for node in ray.nodes() if node["Alive"] and _has(node["Resources"], demand)]
    asked = ray.remote(num_cpus=0, max_retries=0)(_look)
    began = time.time()
    try:
        _write(store)
        if able:
            calls = {
                asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                    folder, node["NodeID"], data
                ): f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                for node in able
            }
        else:
            what = " and ".join(f"{amount:g} {name}" for name, amount in demand.items())
            console.print(f"waiting for a node with {what}", style="yellow", markup=False)
            call = asked.options(num_cpus=demand.get("CPU", 0), num_gpus=demand.get("GPU", 0))
            calls = {call.remote(folder, "started", data): "a node that was started"}
        done, late = ray.wait(list(calls), num_returns=len(calls), timeout=ANSWER_SECONDS if able else START_SECONDS)
        problems = [f"{calls[call]}: no answer; is its Ray in order, does it reach this machine?" for call in late]
        for call in done:
            problems += [f"{calls[call]}: {problem}" for problem in _problems(call, here, began, store)]
    finally:
        store.delete()
    if problems:
        raise ValueError("the cluster is not ready:\n  " + "\n  ".join(problems))


def _write(store: CheckpointStore) -> None:
    try:
        store.save("driver", {})
    except StorageError as error:
        raise ValueError(f"--storage: cannot write there ({error})") from error


def _problems(call: Any, here: dict[str, str], began: float, store: CheckpointStore) -> list[str]:
    try:
        seen = ray.get(call)
    except Exception as error:
        return [f"cannot run a trial ({str(error).strip().splitlines()[-1]})"]
    problems = list(seen["problems"])
    if not problems and store.load(seen["mark"]) is None:
        problems.append(f"what it writes to {store.location} is not seen here: the path is not shared")
    for name, version in here.items():
        if seen["versions"][name] != version:
            problems.append(f"has {name} {seen['versions'][name]}, the driver has {version}: set both up alike")
    # The node looked at its clock at some moment between: what lies outside is certain.
    off = max(began - seen["time"], seen["time"] - time.time())
    if off > MOST_CLOCK_SECONDS:
        problems.append(f"its clock is {off:.0f} s off: set it (chrony, systemd-timesyncd)")
    return problems


def _look(folder: str, mark: str, data: DataSource) -> dict[str, Any]:
    """On the node."""
    problems = []
    store = CheckpointStore(folder, pauses=())
    try:
        if store.load("driver") is None:
            problems.append(f"{folder} is not the driver's: --storage must be a folder that all nodes share, or a URI")
        store.save(mark, {})
    except Exception as error:
        problems.append(f"--storage: cannot be used from there ({error})")
    try:
        if data.uri != SAMPLE:
            find(data.uri)
    except ValueError as error:
        problems.append(f"--data: {error}")
    return {"problems": problems, "mark": mark, "time": time.time(), "versions": _versions()}


def _versions() -> dict[str, str]:
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "Ray": ray.__version__,
        "torch": importlib.metadata.version("torch"),
        "the project's code": _code(),
    }


def _code() -> str:
    """A short hash of the packages that a trial runs."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in ("search", "trainables"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _has(resources: dict[str, float], demand: dict[str, float]) -> bool:
    return all(resources.get(name, 0) >= amount for name, amount in demand.items())
