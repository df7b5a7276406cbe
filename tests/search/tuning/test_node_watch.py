"""When a run ends because no machine could hold a trial."""

from __future__ import annotations

import pytest

from search.tuning.node_watch import NodeWatch
from search.tuning.run_end import Stopping


class Cluster:
    """A watch over nodes that come and go, which looks every second."""

    def __init__(self, demand, timeout=30.0, local=True):
        self.now, self.asked = 0.0, 0
        self.nodes: list[dict] = []
        self.stopping = Stopping()
        self.watch = NodeWatch(self.stopping, demand, timeout, local=local, nodes=self._nodes, clock=lambda: self.now)

    def _nodes(self):
        self.asked += 1
        return self.nodes

    def wait(self, seconds):
        for _ in range(seconds):
            self.now += 1
            self.watch.on_step_end(1, [])


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


def test_ray_that_is_gone_for_its_time_ends_the_run_with_an_exit_code():
    cluster = Cluster({"CPU": 1})
    cluster.nodes = [node(CPU=2)]
    cluster.wait(100)
    cluster.nodes = [node(alive=False, CPU=2)]
    cluster.wait(29)
    assert cluster.stopping.reason is None
    cluster.wait(5)
    expected = "Ray on this machine has not run for 30 s; once that is fixed: the same command continues the study"
    assert (cluster.stopping.reason, cluster.stopping.exit_code) == (expected, 1)


@pytest.mark.parametrize("lacking", [[], [node(CPU=8)], [node(CPU=1, GPU=1)], [node(alive=False, CPU=8, GPU=8)]])
def test_a_cluster_without_a_machine_that_holds_a_process_of_a_trial_ends_it(lacking):
    cluster = Cluster({"CPU": 2, "GPU": 0.5}, timeout=900, local=False)
    cluster.nodes = lacking
    cluster.wait(899)
    assert cluster.stopping.reason is None
    cluster.wait(6)
    assert cluster.stopping.reason.startswith("no node of the cluster has had 2 CPU and 0.5 GPU for 15 min 00 s;")


def test_a_machine_that_comes_in_time_begins_the_time_anew_even_if_it_is_busy():
    cluster = Cluster({"GPU": 1}, timeout=60, local=False)
    cluster.wait(55)
    cluster.nodes = [node(CPU=4), node(GPU=1)]
    cluster.wait(500)
    cluster.nodes = []
    cluster.wait(55)
    assert cluster.stopping.reason is None
    cluster.wait(10)
    assert cluster.stopping.reason is not None


def test_ray_is_asked_every_five_seconds_only():
    cluster = Cluster({"CPU": 1})
    cluster.nodes = [node(CPU=1)]
    cluster.wait(100)
    assert cluster.asked == 20
