"""What the probe finds wrong on the nodes of a real Ray."""

from __future__ import annotations

import importlib.metadata
import io
import re
import shutil
import time
from pathlib import Path

import pytest
import ray
from rich.console import Console

from search.ray_cluster import node_check, node_probe
from search.ray_cluster.node_probe import probed_nodes
from tests.made.studies import epoch_report
from trainables.data import DataSource
from trainables.errors import NodeMismatchError
from trainables.launching.launchers import InlineLauncher
from trainables.messages import TrialRequest
from trainables.training.checkpoint_store import CheckpointStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _ray(ray_cluster):
    pass


def probed(tmp_path, *, uri="sample", checkpoints=None):
    console = Console(file=io.StringIO())
    with probed_nodes(console, InlineLauncher(cpus=1), checkpoints or str(tmp_path / "runs"), DataSource(uri=uri)):
        return console.file.getvalue()


def test_a_node_in_order_is_passed_over_in_silence_and_nothing_is_left(tmp_path, data_file):
    assert probed(tmp_path, uri=str(data_file)) == ""
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("others", [True, False])
def test_a_node_that_goes_away_meanwhile_is_no_obstacle(others, tmp_path, monkeypatch):
    """As an autoscaler takes idle ones away. If it was the only one, the others that come are looked at."""
    real, looks = node_probe.able_nodes, []

    def with_one_that_is_gone(nodes, demand):
        looks.append(True)
        found = real(nodes, demand)
        gone = [{**found[0], "NodeID": "a1" * 28}] if len(looks) == 1 else []
        return [*gone, *(found if others or not gone else [])]

    monkeypatch.setattr(node_probe, "able_nodes", with_one_that_is_gone)
    assert probed(tmp_path) == ""
    assert len(looks) == (1 if others else 2)


def test_data_that_a_node_does_not_see(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)not ready:\n  .* \([\d.]+\): --data: /nowhere.npz: no such file"):
        probed(tmp_path, uri="/nowhere.npz")


@pytest.mark.parametrize("what", ["Python", "Ray", "torch", "the project's code"])
def test_a_node_with_another_version(tmp_path, monkeypatch, what):
    ours = tuple((dict(node_check.versions()) | {what: "0.0"}).items())
    monkeypatch.setattr(node_probe, "versions", lambda: ours)
    with pytest.raises(ValueError, match=rf"has {re.escape(what)} .*, the driver has 0\.0: install the same version"):
        probed(tmp_path)


def test_a_driver_without_a_gpu_has_another_build_of_the_same_torch(tmp_path, monkeypatch):
    there = importlib.metadata.version("torch").partition("+")[0]
    monkeypatch.setattr(node_check.importlib.metadata, "version", {"torch": f"{there}+another"}.get)
    assert probed(tmp_path) == ""


def test_what_else_is_wrong_is_told_beside_a_storage_that_cannot_be_used(tmp_path, monkeypatch):
    ours = tuple((dict(node_check.versions()) | {"torch": "0.0"}).items())
    monkeypatch.setattr(node_probe, "versions", lambda: ours)
    monkeypatch.setattr(CheckpointStore, "save", lambda *_: None)  # of the driver: the node finds no mark
    with pytest.raises(ValueError, match=r"(?s)the driver has 0\.0: .*no such file.*is not the folder that the driver"):
        probed(tmp_path, uri="/nowhere.npz")


def test_a_driver_that_comes_second_leaves_the_first_one_its_mark(tmp_path):
    source, quiet = DataSource(uri="sample"), Console(file=io.StringIO())
    with probed_nodes(quiet, InlineLauncher(cpus=1), str(tmp_path / "runs"), source) as check:
        assert probed(tmp_path) == ""
        assert ray.get(TrialProcess.remote().run.remote(check.guard(one_epoch))) == [1]


def test_a_node_whose_clock_is_off(tmp_path, monkeypatch):
    now = time.time
    monkeypatch.setattr(node_probe.time, "time", lambda: now() - 100)
    with pytest.raises(ValueError, match=r"its clock is (9|10)\d? s off"):
        probed(tmp_path)


def test_a_folder_that_is_another_one_on_the_node(tmp_path, monkeypatch):
    """Each side sees a folder of its own under the name, as on machines that share nothing."""
    monkeypatch.chdir(tmp_path)  # workers started elsewhere: a relative path is another folder there
    with pytest.raises(ValueError, match="is not the folder that the driver uses: --storage must be a folder"):
        probed(tmp_path, checkpoints="runs")


def test_storage_that_takes_nothing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--storage: cannot write there .*/proc/none"):
        probed(tmp_path, checkpoints="/proc/none")


@ray.remote
class TrialProcess:
    def run(self, loop):
        return [report.epoch for report in loop(TrialRequest(number=0, config={}))]


def one_epoch(request):
    yield epoch_report(1, 0.5)


def test_a_process_of_a_node_that_joins_later_looks_before_its_first_trial(tmp_path, data_file):
    """It finds all in order; another finds the data gone, and says so; the first need not look again."""
    data = Path(shutil.copy(data_file, tmp_path / "data.npz"))
    source, quiet = DataSource(uri=str(data)), Console(file=io.StringIO())
    with probed_nodes(quiet, InlineLauncher(cpus=1), str(tmp_path / "runs"), source) as check:
        loop, first, second = check.guard(one_epoch), TrialProcess.remote(), TrialProcess.remote()
        assert ray.get(first.run.remote(loop)) == [1]
        data.unlink()
        with pytest.raises(NodeMismatchError, match=r"\([\d.]+\): --data: .*: no such file"):
            ray.get(second.run.remote(loop))
        assert ray.get(first.run.remote(loop)) == [1]
    with pytest.raises(NodeMismatchError, match="is not the folder that the driver uses"):
        ray.get(TrialProcess.remote().run.remote(loop))
