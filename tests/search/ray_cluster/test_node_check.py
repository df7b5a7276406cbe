"""What a trial's process asks of its node, in this process."""

from __future__ import annotations

import re

import pytest

from search import ROOT
from search.ray_cluster import node_check
from search.ray_cluster.node_check import CODE, NodeCheck, versions
from tests.processes import scripts
from tests.processes.loops import epoch_report
from trainables.data import DataSource
from trainables.errors import NodeMismatchError
from trainables.messages import TrialRequest
from trainables.training.checkpoint_store import CheckpointStore


@pytest.fixture(autouse=True)
def _looks_again():
    yield
    node_check._problems_here.cache_clear()


def one_epoch(request):
    yield epoch_report(1, 0.5)


def run(check: NodeCheck) -> list[int]:
    return [report.epoch for report in check.guard(one_epoch)(TrialRequest(number=0, config={}))]


def changed(name: str, value: str = "0.0") -> tuple[tuple[str, str], ...]:
    return tuple((dict(versions()) | {name: value}).items())


def test_a_process_like_the_drivers_runs_the_loop():
    assert run(NodeCheck(versions())) == [1]
    assert [name for name, _ in versions()] == ["Python", "Ray", "torch", CODE]


@pytest.mark.parametrize("name", ["Python", "Ray", "torch"])
def test_another_version_than_the_drivers_stops_it_before_its_first_epoch(name):
    here = re.escape(dict(versions())[name])
    message = rf"\([\d.]+\): has {name} {here}, the driver has 0\.0: install the same version on both"
    with pytest.raises(NodeMismatchError, match=message):
        run(NodeCheck(changed(name)))


def test_other_code_than_the_drivers_is_named_with_its_folder():
    with pytest.raises(
        NodeMismatchError, match=f"has the project's code [0-9a-f]{{8}} in {re.escape(str(ROOT))}, the driver"
    ):
        run(NodeCheck(changed(CODE, "12345678")))


def test_all_that_is_wrong_is_told_at_once():
    check = NodeCheck(changed("Ray"), data=DataSource(uri="/nowhere.npz"))
    with pytest.raises(NodeMismatchError, match=r"has Ray .*; .*: --data: /nowhere\.npz: no such file"):
        run(check)


def test_the_code_is_that_of_the_packages_whose_files_a_trial_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(node_check, "ROOT", tmp_path)
    for package in ("search", "trainables", "reports"):
        (tmp_path / package / "inner").mkdir(parents=True)
        (tmp_path / package / "inner" / "module.py").write_text("a = 1\n")
    before = dict(versions())[CODE]
    (tmp_path / "reports" / "inner" / "module.py").write_text("a = 2\n")
    assert dict(versions())[CODE] == before
    (tmp_path / "trainables" / "inner" / "module.py").write_text("a = 2\n")
    changed = dict(versions())[CODE]
    assert changed != before
    (tmp_path / "trainables" / "inner" / "module.py").rename(tmp_path / "trainables" / "inner" / "other.py")
    assert dict(versions())[CODE] not in (before, changed)


def test_the_code_that_is_compared_is_the_projects():
    assert scripts.ROOT == ROOT


def test_a_folder_in_which_the_driver_has_written_nothing_is_another_one(tmp_path):
    store = CheckpointStore(str(tmp_path / "probe"))
    check = NodeCheck(versions=(), folder="runs/probe")
    expected = (
        "runs/probe is not the folder that the driver uses: --storage must be a folder that all nodes share, or a URI"
    )
    assert check.unshared(store) == [expected]
    store.save("driver", {})
    assert check.unshared(store) == []
