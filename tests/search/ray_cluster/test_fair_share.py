from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayError

from search.ray_cluster.capacity import ClusterSize
from search.ray_cluster.fair_share import NO_LIMIT, WAITS, Claim, FairShare, shares
from trainables.launching.launchers import InlineLauncher
from trainables.launching.worker_groups import WorkersLauncher


def claim(begun, *, gpus=1.0, cpus=0.0, wanted=NO_LIMIT, processes=1):
    return Claim(begun=begun, wanted=wanted, processes=processes, cpus=cpus, gpus=gpus, study="mars")


def nodes(*gpus, cpus=64):
    return ClusterSize(fixed=[{"CPU": cpus, "GPU": each} for each in gpus], joined=True)


@pytest.mark.parametrize(
    ("gpus", "due"),
    [
        ([1], [8]),
        ([1, 1], [4, 4]),
        ([1, 4], [4, 1]),
        ([1, 2, 4], [2, 1, 1]),
        ([1, 1, 1], [3, 3, 2]),
        ([0.25, 1], [16, 4]),
        ([1, 8], [8, 0]),  # beside the first study, there is no room for the second
        ([8, 1], [1, 0]),
        ([3, 3], [1, 1]),
        ([0.1, 0.1], [40, 40]),
    ],
)
def test_studies_whose_trials_differ_in_size_share_the_gpus(gpus, due):
    claims = [claim(begun, gpus=each) for begun, each in enumerate(gpus)]
    assert list(shares(claims, nodes(8)).values()) == due
    again = shares(claims[::-1], nodes(8))
    assert [again[each] for each in claims] == due


@pytest.mark.parametrize(
    ("wanted", "places", "due"),
    [
        ([8, 8], 8, [4, 4]),
        ([8, 2], 8, [6, 2]),
        ([8, 8, 1], 8, [4, 3, 1]),
        ([3] * 5, 3, [1, 1, 1, 0, 0]),
        ([3, 2], 0, [0, 0]),
    ],
)
def test_what_a_study_does_not_want_goes_to_the_others(wanted, places, due):
    claims = [claim(begun, wanted=each) for begun, each in enumerate(wanted)]
    assert list(shares(claims, nodes(places)).values()) == due


def test_the_scarcer_resource_counts():
    """Each trial of the first study is an eighth of the GPUs, each of the second one an eighth of the CPUs."""
    claims = [claim(0, gpus=1, cpus=1), claim(1, gpus=0, cpus=8)]
    assert list(shares(claims, nodes(8)).values()) == [8, 7]
    assert list(shares(claims, nodes(8, cpus=16)).values()) == [8, 1]


def test_a_trial_must_fit_on_a_node_and_all_processes_of_a_group_into_the_cluster():
    assert shares([claim(0, gpus=4)], nodes(7, 7))[claim(0, gpus=4)] == 2
    group = claim(0, gpus=2, processes=3)
    assert shares([group], nodes(4, 4, 4))[group] == 2
    assert shares([group], nodes(4))[group] == 0


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from((0.25, 0.5, 1.0, 2.0, 4.0)), st.integers(1, 20)), min_size=1, max_size=6),
    st.lists(st.integers(1, 8), min_size=1, max_size=4),
)
def test_shares_add_up_to_no_more_than_the_cluster_and_are_fair(studies, gpus):
    claims = [claim(begun, gpus=each, wanted=wanted) for begun, (each, wanted) in enumerate(studies)]
    size = nodes(*gpus)
    given = shares(claims, size)
    held = {each: given[each] * each.gpus for each in claims}
    assert sum(held.values()) <= sum(gpus)
    assert all(0 <= given[each] <= each.wanted for each in claims)
    left = sum(gpus) - sum(held.values())
    for poor, rich in itertools.permutations(claims, 2):
        wants_more = given[poor] < min(poor.wanted, size.places(poor.demand))
        if wants_more and poor.gpus <= left + rich.gpus:
            # Without its last trial, the richer study would hold no more than the poorer one.
            assert held[rich] <= held[poor] + rich.gpus


def test_a_claim_is_read_back_from_its_name():
    for each in (claim(7, gpus=0.1, cpus=1 / 3), Claim(begun=1, wanted=2, processes=3, cpus=1, gpus=0, study="a/b")):
        assert Claim.read(each.name()) == each
    for name in ("6/mars-77", "", "a/b/c/d/e/f"):
        with pytest.raises(ValueError, match=r"."):
            Claim.read(name)


class Cluster:
    """Ray, as far as a fair share asks it."""

    def __init__(self, monkeypatch):
        self.now, self.looks, self.broken, self.size = 1000.0, 0, None, nodes(8)
        other = claim(5)
        self.actors = [{"name": other.name(), "namespace": "studies"}, {"name": "no study", "namespace": "another"}]
        self.options, self.started, self.messages = {}, [], []
        context = SimpleNamespace(get_node_id=lambda: "ab" * 28)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time_ns", lambda: 77)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
        monkeypatch.setattr(ray, "remote", self._remote)
        monkeypatch.setattr(ray.util, "list_named_actors", self._list)

    def share(self, launcher=None, wanted=None):
        launcher = launcher or InlineLauncher(cpus=1, gpus=1)
        return FairShare("own", launcher, lambda: self.size, wanted=wanted, tell=self.messages.append)

    def _remote(self, cls):
        def options(**values):
            self.options = values
            return SimpleNamespace(remote=lambda: self.started.append(cls) or "the actor")

        return SimpleNamespace(options=options)

    def _list(self, all_namespaces):
        self.looks += 1
        if self.broken is not None:
            raise self.broken
        return self.actors if all_namespaces else []


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def test_a_driver_holds_an_actor_on_its_own_node_whose_name_is_its_claim(cluster):
    fair = cluster.share(WorkersLauncher(workers=2, cpus=3, gpus=0.5), wanted=6)
    scheduling = cluster.options.pop("scheduling_strategy")
    assert cluster.options == {"num_cpus": 0, "name": "77/6/2/3.0/0.5/own", "namespace": "studies"}
    assert (scheduling.node_id, scheduling.soft) == ("ab" * 28, False)
    assert len(cluster.started) == 1
    assert "the actor" in vars(fair).values()  # without a reference Ray ends it


def test_the_share_is_of_all_studies_on_the_cluster(cluster):
    assert cluster.share()() == 4
    assert cluster.share(wanted=3)() == 3
    cluster.actors.append({"name": claim(80).name(), "namespace": "studies"})
    cluster.actors.append({"name": "8/other-1", "namespace": "studies"})  # of another version
    assert cluster.share()() == 3
    cluster.actors.clear()  # its own actor is not up yet
    assert cluster.share()() == 8


def test_the_share_follows_the_cluster(cluster):
    fair = cluster.share()
    assert fair() == 4
    cluster.size, cluster.now = nodes(8, 8), cluster.now + 11
    assert fair() == 8
    cluster.size, cluster.now = nodes(2), cluster.now + 11
    assert fair() == 1


def test_a_study_without_room_says_so_once(cluster):
    cluster.size = nodes(1)
    fair = cluster.share()
    assert (fair(), cluster.messages) == (0, [WAITS])
    cluster.now += 11
    assert (fair(), cluster.messages) == (0, [WAITS])
    cluster.actors.clear()
    cluster.now += 11
    assert (fair(), cluster.messages) == (1, [WAITS])


def test_a_study_alone_gets_what_its_user_asked_for_so_that_an_autoscaler_starts_nodes(cluster):
    assert cluster.share(wanted=20)() == 4  # another study is there
    cluster.actors.clear()
    assert cluster.share(wanted=20)() == 20
    cluster.size = nodes()
    assert cluster.share(wanted=20)() == 20


def test_an_elastic_trial_that_fits_only_smaller_may_start(cluster):
    cluster.actors.clear()
    cluster.size = nodes(1)
    assert cluster.share(WorkersLauncher(workers=4, least=1, gpus=1))() == 1
    assert cluster.messages == []


@pytest.mark.parametrize("now", [10.5, 1000.0])
def test_it_looks_at_once_also_on_a_machine_that_has_just_started(now, cluster):
    cluster.now = now
    assert (cluster.share()(), cluster.looks) == (4, 1)


def test_it_looks_again_after_ten_seconds(cluster):
    fair = cluster.share()
    assert (fair(), cluster.looks) == (4, 1)
    cluster.actors.pop(0)
    cluster.now += 10
    assert (fair(), cluster.looks) == (4, 1)
    cluster.now += 0.5
    assert (fair(), cluster.looks) == (8, 2)
    cluster.now += 9.5
    assert (fair(), cluster.looks) == (8, 2)


def test_the_share_stays_as_it_was_while_the_head_does_not_answer(cluster):
    cluster.broken = RayError("gone")
    fair = cluster.share(wanted=9)
    assert fair() == 9
    cluster.broken, cluster.now = None, cluster.now + 11
    assert fair() == 4
    cluster.broken, cluster.now = RayError("gone"), cluster.now + 11
    assert (fair(), cluster.looks) == (4, 3)
    assert (fair(), cluster.looks) == (4, 3)  # and asks no more often than else
    cluster.broken, cluster.now = KeyError("a bug"), cluster.now + 11
    with pytest.raises(KeyError):
        fair()
