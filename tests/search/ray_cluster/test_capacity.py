from __future__ import annotations

import pytest
import ray

from search.ray_cluster.capacity import ClusterSize, check_fits, cluster_size, concurrent_trials
from trainables.launching.launchers import InlineLauncher
from trainables.launching.worker_groups import WorkersLauncher

GIBIBYTE = 2**30
CONFIG = """
max_workers: 5
head_node_type: head
available_node_types:
  head: {resources: {CPU: 0}}
  single: {max_workers: 8, resources: {CPU: 4, GPU: 1}}
  quad: {max_workers: 2, resources: {CPU: 48, GPU: 4}}
  unknown: {max_workers: 1}
"""


def nodes(*resources):
    return ClusterSize(fixed=list(resources))


@pytest.mark.parametrize(
    ("launcher", "size", "expected"),
    [
        (InlineLauncher(cpus=1), nodes({"CPU": 4.0}), 4),
        (InlineLauncher(cpus=2, gpus=0.1), nodes({"CPU": 64.0, "GPU": 1.0}), 10),
        (InlineLauncher(cpus=1, gpus=1), nodes({"CPU": 64.0, "GPU": 3.0}), 3),
        (InlineLauncher(cpus=3), nodes({"CPU": 4.0}, {"CPU": 5.0}), 2),
        (WorkersLauncher(workers=2, cpus=2), nodes({"CPU": 9.0}), 2),
        (WorkersLauncher(workers=2, cpus=2), nodes({"CPU": 3.0}, {"CPU": 3.0}), 1),
        (WorkersLauncher(workers=4, least=1), nodes({"CPU": 9.0}), 2),
        (WorkersLauncher(workers=4, least=2, gpus=1), nodes({"CPU": 9.0, "GPU": 3.0}), 1),
    ],
)
def test_how_many_trials_fit(launcher, size, expected):
    check_fits(launcher, size)
    assert concurrent_trials(launcher, size) == expected


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (InlineLauncher(cpus=9), "needs 9 CPU but the cluster has 8"),
        (InlineLauncher(gpus=0.5), "needs 0.5 GPU but the cluster has 0"),
        (WorkersLauncher(workers=5, cpus=2), "needs 10 CPU but the cluster has 8"),
        (WorkersLauncher(workers=9, least=5, cpus=2), "needs 10 CPU but the cluster has 8"),
        (InlineLauncher(cpus=5), "a process of a trial needs 5 CPU, which no node"),
    ],
)
def test_what_can_never_start_is_refused(launcher, message):
    with pytest.raises(ValueError, match=message):
        check_fits(launcher, nodes({"CPU": 4.0}, {"CPU": 4.0}))


@pytest.fixture
def head(monkeypatch, tmp_path):
    """A cluster that has only its head yet, and the file of its autoscaler."""
    alive = [
        {"Alive": True, "Resources": {"memory": GIBIBYTE, "node:__internal_head__": 1.0}},
        {"Alive": False, "Resources": {"CPU": 48.0, "GPU": 4.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: alive)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_nodes_that_the_autoscaler_may_start_count(head):
    size = cluster_size(joined=True, config=head)
    assert (size.total("GPU"), size.total("CPU")) == (4 + 4 + 1 + 1 + 1, 48 + 48 + 4 + 4 + 4)
    assert concurrent_trials(InlineLauncher(cpus=1, gpus=1), size) == 11
    assert concurrent_trials(InlineLauncher(cpus=1, gpus=0.5), size) == 22
    assert concurrent_trials(InlineLauncher(cpus=1, gpus=2), size) == 4
    assert concurrent_trials(WorkersLauncher(workers=3, cpus=1, gpus=1), size) == 3


def test_without_an_autoscaler_the_living_nodes_are_all(head):
    for size in (cluster_size(joined=False, config=head), cluster_size(joined=True, config=head.with_name("none"))):
        assert (size.total("GPU"), size.startable) == (0, ())


def test_what_a_started_node_says_of_itself_counts(head, monkeypatch):
    nodes = [*ray.nodes(), {"Alive": True, "Resources": {"CPU": 200.0, "GPU": 8.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert cluster_size(joined=True, config=head).total("GPU") == 8 + 4 + 4 + 1 + 1
