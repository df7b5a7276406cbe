"""Trials that share a GPU, on a cluster whose head has none. It is one by name only: processes compute on the CPU."""

from __future__ import annotations

import os

import pytest

from search.ledger.ledger import Ledger
from tests.made.studies import study_settings
from tests.processes.scripts import run_script
from tests.processes.tokens import use_token
from trainables.data import DataSource, prepare

pytestmark = [pytest.mark.slow, pytest.mark.long]

CPUS = 2
"""Of the node that has the GPU."""


@pytest.fixture(scope="module")
def cluster():
    """Its address."""
    from ray.cluster_utils import Cluster

    use_token()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=CPUS, num_gpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def joined(cluster, monkeypatch):
    import ray

    from search.ray_cluster.session import start_ray

    monkeypatch.setenv("RAY_ADDRESS", cluster)
    start_ray(dashboard=False)
    yield
    ray.shutdown()


def test_the_search_probes_once_and_its_trials_share_the_gpu(cluster, data_file, tmp_path, logs):
    def search(*arguments):
        options = ["--data", data_file, "--name", "study", "--max-epochs", 1, "--gpus-per-trial", "auto"]
        systems = ["--systems", "b-unet2,b-unet3", "--set", "model.width=2"]
        given = {"cwd": tmp_path, "logs": logs, "environment": os.environ | {"RAY_ADDRESS": cluster, "COLUMNS": "160"}}
        done = run_script("search/run.py", [*options, *systems, *arguments], **given)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    output = search("--dry-run")
    assert "to be probed on a GPU" in output
    assert "a probe finds how many trials share a GPU" in output
    assert not (tmp_path / "runs").exists()

    output = search()
    assert "probing one GPU with 2 configurations" in output
    assert "alone on CPU" in output
    assert "concurrent trials: b-unet" in output
    ledger = Ledger.open(tmp_path / "runs" / "study")
    placement = ledger.placement
    assert 1 <= placement.trials_per_gpu <= CPUS
    assert placement.sentence() in output
    records = ledger.records()
    assert [record.state for record in records] == ["complete"] * 2
    assert {segment.gpus for record in records for segment in record.segments} == {placement.gpus}

    output = search("--seeds", 2)
    assert "probing one GPU" not in output
    assert f"GPU sharing  {placement.sentence()}" in output
    assert len(Ledger.open(tmp_path / "runs" / "study").records()) == 4


def test_what_fits_nowhere_is_told_and_what_is_as_large_is_left_out(joined, data_file):
    import ray

    from search.gpu_sharing.probe_plan import ProbeConfig, ProbePlan
    from search.gpu_sharing.probing import probe

    settings, data = study_settings(), prepare(DataSource(uri=str(data_file)))

    def corner(label, width):
        chosen = {"model.depth": 2, "model.width": width, "training.batch_size": 8}
        return ProbeConfig(label=label, config=settings.whole_config(chosen))

    found = ProbePlan(
        ladder=(corner("small", 2), corner("huge", 2**20), corner("larger", 2**21)), middle=corner("middle", 2**20)
    )
    told = []
    probed = probe(found, data, cpus=1, tell=told.append)
    assert [(row.label, measured is None) for row, measured in probed.alone] == [("small", False), ("huge", True)]
    assert probed.shared.label == "small"
    assert set(probed.rates) == {1, 2}
    assert all(rate > 0 for rate in probed.rates.values())
    assert told == ["small", "huge", "concurrent trials: 1", "concurrent trials: 2"]
    assert probed.placement.too_large > 10**12
    # All that was held is given back.
    assert ray.get(ray.remote(num_gpus=1)(lambda: True).remote())

    with pytest.raises(ValueError, match="no configuration fits into the memory of CPU"):
        probe(ProbePlan(ladder=found.ladder[1:], middle=found.middle), data, cpus=1, tell=told.append)
