"""Both launchers give the same epoch reports, on a real Ray cluster."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from search.ledger.ledger import Ledger
from search.ray_cluster.session import start_ray
from search.study.profiles import PROFILES
from search.study.systems import runs_of
from search.study.unet_space import unet_space
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from search.tuning.search_plan import SearchPlan
from search.tuning.tuner import run_search
from tests.made.studies import study_settings
from tests.processes.groups import WithoutBatchStatistics
from tests.processes.loops import EPOCHS as LOOP_EPOCHS
from tests.processes.loops import falling, hanging_peer
from trainables.data import DataSource, prepare
from trainables.launching.launchers import InlineLauncher
from trainables.launching.worker_groups import WorkersLauncher
from trainables.training.trial import TrialTask

EPOCHS = 3


pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def local_ray():
    """As a search without a cluster starts it, with the dashboard that worker groups need."""
    import ray

    start_ray(dashboard=True)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def reports_of(local_ray, data_file, tmp_path_factory):
    """The epoch reports of one trial, the same for every launcher."""

    @functools.cache
    def run(launcher, task=TrialTask):
        folder: Path = tmp_path_factory.mktemp("launchers") / "study"
        data = prepare(DataSource(uri=str(data_file)))
        # In two stages and with auxiliary heads; without dropout, which each worker draws for itself.
        overrides = {"model.width": 4, "model.dropout": 0.0, "model.deep_supervision": 0.5, "training.batch_size": 8}
        settings = study_settings(
            max_epochs=EPOCHS, space="systems", systems=["b-finetuned"], overrides=overrides, grace_epochs=EPOCHS
        )
        plan = SearchPlan(
            folder=folder,
            settings=settings,
            space=settings.search_space(),
            sampler="random",
            first=tuple(runs_of(settings.systems, seeds=1, first_seed=0)),
            budget=1,
            launcher=launcher,
            concurrent=1,
        )
        checkpoints = settings.checkpoint_root(folder)
        loop = task(source=data.source, fingerprint=data.fingerprint, checkpoints=checkpoints)
        run_search(plan, Ledger.create(folder), loop, [], Stopping(), Meter({}))
        (record,) = Ledger.open(folder).records()
        assert record.state == "complete", record.error
        return record.reports

    return run


@pytest.mark.parametrize(
    ("task", "workers", "tolerance"), [(TrialTask, 1, 1e-5), (TrialTask, 2, 0.05), (WithoutBatchStatistics, 2, 1e-4)]
)
def test_a_worker_group_reports_what_the_trials_own_process_does(task, workers, tolerance, reports_of):
    """Two workers normalise half a batch each, so they only come close; all else is the same sum in two parts."""
    inline, grouped = reports_of(InlineLauncher(), task), reports_of(WorkersLauncher(workers=workers), task)
    assert [report.epoch for report in grouped] == [report.epoch for report in inline] == [1, 2, 3]
    assert [report.stage for report in grouped] == [report.stage for report in inline] == [1, 1, 2]
    for one, other in zip(inline, grouped, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=tolerance)
        assert other.val_loss == pytest.approx(one.val_loss, rel=tolerance)
        assert other.mean_iou == pytest.approx(one.mean_iou, abs=tolerance)
        assert other.class_iou == pytest.approx(one.class_iou, abs=2 * tolerance)
        assert (other.ended, other.learning_rate, other.parameters) == (one.ended, one.learning_rate, one.parameters)


@pytest.fixture
def another_ray():
    """A second Ray on this machine, as another study's."""
    program = (
        "import ray, sys; ray.init(address='local', num_cpus=1, include_dashboard=False); "
        "print('up', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program]
    other = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while other.stdout.readline().strip() != b"up":
        assert other.poll() is None
    yield
    other.communicate()


@pytest.mark.parametrize(("scheduler", "least", "trials"), [("asha-stopping", None, 3), ("asha-promotion", 1, 2)])
def test_stopped_worker_groups_give_their_resources_back(scheduler, least, trials, local_ray, another_ray, tmp_path):
    """Each group takes the whole machine, so the next trial starts only if the stopped or paused one is really gone."""
    import ray

    cpus = int(ray.cluster_resources()["CPU"])
    plan = SearchPlan(
        folder=tmp_path / "study",
        settings=study_settings(max_epochs=EPOCHS, scheduler=scheduler),
        space=unet_space(PROFILES["cpu"]),
        sampler="random",
        budget=trials,
        launcher=WorkersLauncher(workers=2, least=least, cpus=cpus / 2),
        concurrent=1,
    )
    loop = functools.partial(falling, epochs=EPOCHS)
    run_search(plan, Ledger.create(plan.folder), loop, [], Stopping(), Meter({}))
    records = Ledger.open(plan.folder).records()
    assert [record.state for record in records] == ["complete"] + ["pruned"] * (trials - 1)
    assert [len(record.reports) for record in records] == [EPOCHS] + [1] * (trials - 1)
    while ray.available_resources().get("CPU") != cpus:
        time.sleep(0.2)
    assert {group["state"] for group in ray.util.placement_group_table().values()} == {"REMOVED"}


def test_a_worker_that_hangs_ends_its_group_and_the_trial_resumes(local_ray, tmp_path):
    """The group takes the whole machine: it can only resume once the stopped process is gone, too."""
    import ray

    cpus = int(ray.cluster_resources()["CPU"])
    plan = SearchPlan(
        folder=tmp_path / "study",
        settings=study_settings(max_epochs=LOOP_EPOCHS),
        space=unet_space(PROFILES["cpu"]),
        sampler="random",
        budget=1,
        launcher=WorkersLauncher(workers=2, cpus=cpus / 2),
        concurrent=1,
        max_failures=1,
        hang_timeout=10.0,
    )
    loop = functools.partial(hanging_peer, tmp_path)
    run_search(plan, Ledger.create(plan.folder), loop, [], Stopping(), Meter({}))
    (record,) = Ledger.open(plan.folder).records()
    assert record.state == "complete", record.error
    assert [report.epoch for report in record.reports] == [1, 2, 3, 4]
    (failure,) = record.failures
    # The group's controller fetches an epoch from all workers: the stopped one may not have handed out its second.
    assert failure.kind == "hung"
    assert failure.epoch in (1, 2)
    assert not psutil.pid_exists(int((tmp_path / "stopped").read_text()))
