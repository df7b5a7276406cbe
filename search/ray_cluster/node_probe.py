"""Checks that the nodes of a cluster can run trials, before the first trial starts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from search.ray_cluster.capacity import able_nodes, process_demand
from search.ray_cluster.node_check import NodeCheck, versions
from trainables.data import DataSource
from trainables.errors import StorageError, listed
from trainables.launching.launchers import Launcher
from trainables.training.checkpoint_store import CheckpointStore, join_uri

ANSWER_SECONDS = 180
"""Seconds in which a running node must respond."""
START_SECONDS = 1800
"""Seconds in which a cluster that starts nodes on demand must have started one."""
MOST_CLOCK_SECONDS = 60
"""Maximum difference between clocks, in seconds; object stores reject requests whose time is minutes off."""
NO_RESPONSE = "no response; check that Ray runs there and that it can reach this machine"


@contextmanager
def probed_nodes(console: Console, launcher: Launcher, checkpoints: str, data: DataSource) -> Iterator[NodeCheck]:
    """Run a probe on each node that could run a trial: write a checkpoint, find the data, compare versions.

    Args:
        console: shows a message while the probe waits for a node to start.
        launcher: the launcher of the trials. If no node has room for a trial, the autoscaler gets time to start one.
        checkpoints: path or URI of the study's checkpoints.
        data: the study's data.

    Yields:
        The check for nodes that join later.

    Raises:
        ValueError: if a node fails the probe; the message names each such node and its problem.
    """
    # A unique name: the ledger may still refuse this driver because another one runs the study, whose files must not
    # be touched.
    store = CheckpointStore(join_uri(checkpoints, f"probe-{uuid.uuid4().hex[:8]}"), pauses=())
    try:
        store.save("driver", {})
    except StorageError as error:
        raise ValueError(f"--storage: cannot write there ({error})") from error
    check = NodeCheck(versions(), data=data, folder=store.location)
    try:
        _probe(console, check, store, process_demand(launcher))
        yield check
    finally:
        with suppress(OSError):
            store.delete()


def _probe(console: Console, check: NodeCheck, store: CheckpointStore, demand: dict[str, float]) -> None:
    able = able_nodes(ray.nodes(), demand)
    asked = ray.remote(num_cpus=0, max_retries=0)(_look)
    began = time.time()
    if able:
        calls = {
            asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                check, node["NodeID"]
            ): f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            for node in able
        }
        nodes = dict(zip(calls, (node["NodeID"] for node in able), strict=True))
    else:
        what = " and ".join(f"{amount:g} {name}" for name, amount in demand.items())
        console.print(f"waiting for a node with {what}", style="yellow", markup=False)
        call = asked.options(num_cpus=demand.get("CPU", 0), num_gpus=demand.get("GPU", 0))
        calls, nodes = {call.remote(check, "started"): "a node that was started"}, {}
    _, late = ray.wait(list(calls), num_returns=len(calls), timeout=ANSWER_SECONDS if able else START_SECONDS)
    # An autoscaler may have removed an idle node meanwhile, or a machine was lost: such a node will run no trial.
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    staying = [call for call in calls if call not in nodes or nodes[call] in alive]
    problems = []
    for call in staying:
        lacks = _problems(call, began, store) if call not in late else [NO_RESPONSE]
        problems += [f"{calls[call]}: {problem}" for problem in lacks]
    if problems:
        raise ValueError("the cluster is not ready:\n  " + listed(problems, separator="\n  "))
    if not staying:
        _probe(console, check, store, demand)


def _problems(call: Any, began: float, store: CheckpointStore) -> list[str]:
    try:
        seen = ray.get(call)
    except Exception as error:
        return [f"cannot run a trial ({str(error).strip().splitlines()[-1]})"]
    problems = list(seen["problems"])
    if not problems and store.load(seen["mark"]) is None:
        problems.append(f"files that it writes to {store.location} do not appear here: the path is not shared")
    # The node read its clock at some moment between the two: any excess over this interval is a real difference.
    off = max(began - seen["time"], seen["time"] - time.time())
    if off > MOST_CLOCK_SECONDS:
        problems.append(f"its clock is {off:.0f} s off: synchronize it (chrony, systemd-timesyncd)")
    return problems


def _look(check: NodeCheck, mark: str) -> dict[str, Any]:
    """Probe the node that this runs on."""
    assert check.folder is not None
    problems, store = check.lacking(), CheckpointStore(check.folder, pauses=())
    try:
        problems += check.unshared(store)
        store.save(mark, {})
    except (StorageError, ValueError) as error:
        problems.append(f"--storage: not usable from that node ({error})")
    return {"problems": problems, "mark": mark, "time": time.time()}
