from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayError

from search.ray_cluster.fair_share import FairShare, share


@pytest.mark.parametrize(
    ("wanted", "places", "due"),
    [
        ([8], 8, [8]),
        ([8, 8], 8, [4, 4]),
        ([8, 2], 8, [6, 2]),
        ([8, 8, 1], 8, [4, 4, 1]),
        ([3, 3], 5, [3, 3]),  # one more than there are places waits in Ray's queue
        ([8, 8, 8], 1, [1, 1, 1]),
        ([8], 5, [5]),
        ([4, 4], 8, [4, 4]),
        ([8, 8, 8], 8, [3, 3, 3]),  # 8 / 3, rounded up
        ([9, 3, 3], 8, [3, 3, 3]),  # two want just what is even
        ([7, 5, 2], 9, [4, 4, 2]),  # 7 are left for two
        ([9, 2, 1], 9, [6, 2, 1]),
        ([9, 2, 1], 20, [9, 2, 1]),  # more places than anybody wants
        ([5, 1, 1, 1], 2, [1, 1, 1, 1]),
        ([3, 2], 0, [1, 1]),  # a cluster that has no place yet
    ],
)
def test_places_are_shared_evenly(wanted, places, due):
    assert [share(own, wanted, places) for own in wanted] == due
    assert [share(own, wanted[::-1], places) for own in wanted] == due


def test_one_that_is_not_among_those_that_want_has_what_it_wants_of_an_even_share():
    assert share(3, [], 2) == 3
    assert share(3, [8, 8], 8) == 3
    assert share(5, [8, 8], 8) == 4


@settings(max_examples=50)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 60))
def test_nobody_starves_nobody_gets_more_than_it_wants_and_nothing_is_left_over(wanted, places):
    due = [share(own, wanted, places) for own in wanted]
    assert all(1 <= share <= own for share, own in zip(due, wanted, strict=True))
    assert sum(due) >= min(places, sum(wanted))
    assert sum(due) < places + len(wanted) or min(due) == 1


@settings(max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 40))
def test_the_share_is_the_least_even_one_that_leaves_no_place_empty(wanted, places):
    """Places given out one to each in turn: whoever wants more than the last round's gets as much as that round."""
    level = next(level for level in range(1, 41) if sum(min(own, level) for own in wanted) >= min(places, sum(wanted)))
    assert [share(own, wanted, places) for own in wanted] == [min(own, level) for own in wanted]


class Cluster:
    """Ray, as far as a fair share asks it."""

    def __init__(self, monkeypatch):
        self.now, self.looks, self.broken = 1000.0, 0, None
        self.actors = [{"name": "8/other-1", "namespace": "studies"}, {"name": "8/own-2", "namespace": "studies"}]
        self.options, self.started = {}, []
        context = SimpleNamespace(get_node_id=lambda: "ab" * 28)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time_ns", lambda: 77)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
        monkeypatch.setattr(ray, "remote", self._remote)
        monkeypatch.setattr(ray.util, "list_named_actors", self._list)

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


def test_a_driver_holds_an_actor_on_its_own_node_whose_name_says_what_its_study_wants(cluster):
    fair = FairShare("mars", wanted=6, places=8)
    scheduling = cluster.options.pop("scheduling_strategy")
    assert cluster.options == {"num_cpus": 0, "name": "6/mars-77", "namespace": "studies"}
    assert (scheduling.node_id, scheduling.soft) == ("ab" * 28, False)
    assert len(cluster.started) == 1
    assert "the actor" in vars(fair).values()  # without a reference Ray ends it


def test_the_share_is_of_all_studies_on_the_cluster(cluster):
    assert FairShare("own", wanted=8, places=8)() == 4
    cluster.actors.append({"name": "1/a/b-3", "namespace": "studies"})
    cluster.actors.append({"name": "no study", "namespace": "another"})
    assert FairShare("own", wanted=8, places=9)() == 4
    assert FairShare("own", wanted=3, places=9)() == 3
    cluster.actors.clear()  # its own actor is not up yet
    assert FairShare("own", wanted=8, places=9)() == 8


@pytest.mark.parametrize("now", [10.5, 1000.0])
def test_it_looks_at_once_also_on_a_machine_that_has_just_started(now, cluster):
    cluster.now = now
    assert (FairShare("own", wanted=8, places=8)(), cluster.looks) == (4, 1)


def test_it_looks_again_after_ten_seconds(cluster):
    fair = FairShare("own", wanted=8, places=8)
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
    fair = FairShare("own", wanted=8, places=8)
    assert fair() == 8
    cluster.broken, cluster.now = None, cluster.now + 11
    assert fair() == 4
    cluster.broken, cluster.now = RayError("gone"), cluster.now + 11
    assert (fair(), cluster.looks) == (4, 3)
    assert (fair(), cluster.looks) == (4, 3)  # and asks no more often than else
    cluster.broken, cluster.now = KeyError("a bug"), cluster.now + 11
    with pytest.raises(KeyError):
        fair()
