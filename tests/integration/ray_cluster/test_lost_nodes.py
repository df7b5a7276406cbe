"""Machines and processes that go away under a running trial, on a real Ray cluster of several nodes."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.ray_cluster.session import start_ray
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.tuning.callbacks import Callback
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from search.tuning.search_plan import SearchPlan
from search.tuning.tuner import run_search
from tests.made.studies import study_settings
from tests.processes.loops import sized
from tests.processes.ports import free_port
from trainables.launching.launchers import InlineLauncher, Launcher
from trainables.launching.ray_private import dead_nodes_silenced
from trainables.launching.worker_groups import WorkersLauncher
from trainables.messages import EpochReport

pytestmark = [pytest.mark.slow, pytest.mark.long]


class Machines:
    """A head without room for trials, and two nodes that take one worker each."""

    def __init__(self) -> None:
        port = free_port()
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port}"  # for the cleaners of worker groups
        self.cluster = Cluster(
            initialize_head=True,
            # Not even for a trial's process that only waits.
            head_node_args={"num_cpus": 0, "memory": 10**8, "include_dashboard": True, "dashboard_port": port},
            shutdown_at_exit=True,
        )
        self.nodes: list[Any] = []

    def renew(self) -> None:
        """Two nodes that nothing has happened to yet."""
        for node in self.nodes:
            self.cluster.remove_node(node)
        self.nodes = [self.add(), self.add()]
        self.cluster.wait_for_nodes()

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1)

    def of(self, process: psutil.Process) -> Any:
        """The node that a process runs on."""
        raylets = {node.all_processes["raylet"][0].process.pid: node for node in self.nodes}
        return next(raylets[parent.pid] for parent in process.parents() if parent.pid in raylets)

    def lose(self, node: Any, signal: bool = False) -> None:
        self.cluster.remove_node(node, allow_graceful=signal)
        self.nodes.remove(node)

    def close(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()
        del os.environ["RAY_API_SERVER_ADDRESS"]


def drain(node: Any, seconds: float) -> None:
    """What `ray drain-node` does."""
    from ray.core.generated import autoscaler_pb2

    accepted, why = ray._raylet.GcsClient(address=ray.get_runtime_context().gcs_address).drain_node(
        node.node_id,
        autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
        "a test",
        int((time.time() + seconds) * 1000),
    )
    assert accepted, why


def processes(*titles: str) -> list[psutil.Process]:
    """Ray's processes below this one whose title is one of these."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() and process.cmdline()[0].startswith(tuple(f"ray::{title}" for title in titles)):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def head() -> Iterator[Machines]:
    machines = Machines()
    with pytest.MonkeyPatch.context() as patch, dead_nodes_silenced():  # as in the search command
        patch.setenv("RAY_ADDRESS", machines.cluster.address)
        start_ray(dashboard=True)
        yield machines
        machines.close()


@pytest.fixture
def machines(head) -> Machines:
    head.renew()
    return head


class Disturbance(Callback):
    """Does something at each epoch that the driver has recorded."""

    def __init__(self, act: Callable[[EpochReport], None]):
        self.act = act

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self.act(report)


@pytest.fixture
def trial(machines, tmp_path):
    """Runs one trial under a disturbance and returns its record."""

    def run(launcher: Launcher, act: Callable[[EpochReport], None], max_failures: int = 0) -> TrialRecord:
        plan = SearchPlan(
            folder=tmp_path / "study",
            settings=study_settings(max_epochs=10**6, grace_epochs=10**6),
            space=unet_space(PROFILES["cpu"]),
            sampler="random",
            budget=1,
            launcher=launcher,
            concurrent=1,
            max_failures=max_failures,
        )
        loop = functools.partial(sized, root=str(tmp_path))
        run_search(plan, Ledger.create(plan.folder), loop, [Disturbance(act)], Stopping(), Meter({}))
        (record,) = Ledger.open(plan.folder).records()
        assert [report.epoch for report in record.reports] == list(range(1, len(record.reports) + 1))
        return record

    return run


@pytest.mark.parametrize(
    ("launcher", "way"),
    [
        *((InlineLauncher(), way) for way in ("killed", "terminated", "drained", "drained late")),
        *((WorkersLauncher(workers=2), way) for way in ("killed", "drained late")),
    ],
)
def test_a_trial_whose_node_goes_away_goes_on_elsewhere(launcher, way, machines, trial, tmp_path, capsys):
    (tmp_path / "enough").touch()
    title = "ImplicitFunc" if isinstance(launcher, InlineLauncher) else "RayTrainWorker"

    def act(report: EpochReport) -> None:
        if report.epoch != 2:
            return
        (*_, process) = processes(title)
        node = machines.of(process)
        if way.startswith("drained"):
            drain(node, seconds=300 if way == "drained" else 0.5)
        if way != "drained":
            machines.lose(node, signal=way == "terminated")
        machines.nodes.append(machines.add())

    record = trial(launcher, act)
    assert record.state == "complete"
    assert [failure.kind for failure in record.failures] == ["node_lost"]
    assert "raylet" not in capsys.readouterr().out  # no page of its log between the lines of a view


@pytest.mark.parametrize("lost", ["the node of the trial itself", "the other node"])
def test_an_elastic_group_goes_on_with_fewer_workers_and_grows_again(lost, machines, trial, tmp_path):
    def kill_a_worker(size: float) -> bool:
        if size == 2:
            processes("RayTrainWorker")[-1].kill()
        return size == 2

    def lose_a_node(size: float) -> bool:
        own = machines.of(processes("GroupTrial", "ResourceTrainable")[0])
        (other,) = (node for node in machines.nodes if node is not own)
        machines.lose(own if lost == "the node of the trial itself" else other)
        return True

    def add_a_node(size: float) -> bool:
        if size == 1:
            machines.nodes.append(machines.add())
        return size == 1

    def enough(size: float) -> bool:
        if size == 2:
            (tmp_path / "enough").touch()
        return size == 2

    steps = [kill_a_worker, lose_a_node, add_a_node, enough]

    def act(report: EpochReport) -> None:
        if steps and steps[0](report.train_loss):
            steps.pop(0)

    record = trial(WorkersLauncher(workers=2, least=1, growth_seconds=3), act, max_failures=1)
    assert not steps
    assert record.state == "complete"
    assert [failure.kind for failure in record.failures] == ["process_lost", "node_lost"]
    assert {report.train_loss for report in record.reports} == {1, 2}


def test_an_elastic_group_leaves_a_node_that_is_drained(machines, trial, tmp_path):
    """And goes on with the one worker that is left, long before the node's time is over."""
    (tmp_path / "enough").touch()

    def act(report: EpochReport) -> None:
        if report.epoch == 2:
            drain(machines.of(processes("RayTrainWorker")[-1]), seconds=3600)

    record = trial(WorkersLauncher(workers=2, least=1), act)
    assert record.state == "complete"
    assert [failure.kind for failure in record.failures] == ["node_lost"]
    assert {report.train_loss for report in record.reports} == {2, 1}
