"""The search command as a user runs it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from search.ledger.ledger import FILE, Ledger
from search.ledger.ranking import ranked
from tests.integration.conftest import ONE
from tests.processes.scripts import ROOT, run_script

pytestmark = pytest.mark.slow

SMALL = ("--max-epochs", "2", "--sampler", "random", "--name", "study")


def events(folder: Path, kind: str) -> set[str]:
    """The runs in which TensorBoard finds scalars or images."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return {run for run, tags in multiplexer.Runs().items() if tags[kind]}


def test_a_search_continues_to_its_budget_under_the_same_settings(command, data_file, tmp_path):
    relative = os.path.relpath(data_file, tmp_path)
    done = command("search/run.py", "--data", relative, "--budget", 3, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"reading the data: {relative}"
    assert lines.index("starting Ray on this machine") < next(n for n, line in enumerate(lines) if "no GPU" in line)
    assert "no GPU: the cpu profile limits the search" in done.stdout
    assert "[3/3] trial" in done.stdout
    assert "cost of the study" in done.stdout
    assert "tensorboard --logdir runs/study" in done.stdout
    folder = tmp_path / "runs" / "study"
    first = Ledger.open(folder).records()
    assert len(first) == 3
    assert events(folder, "scalars") == {f"trials/000{number}" for number in range(3)}
    assert events(folder, "images")
    kept = {path.relative_to(folder / "checkpoints").as_posix() for path in folder.glob("checkpoints/*/*")}
    assert kept <= {f"000{number}/best.pt" for number in range(3)}

    done = command("search/run.py", "--data", data_file, "--budget", 5, "--then-report", *SMALL)
    assert done.returncode == 0, done.stderr
    records = Ledger.open(folder).records()
    assert records[:3] == first
    assert len(records) == 5
    ledger = Ledger.open(folder)
    begun_with = [record for record in ranked(records) if record.number in ledger.first][:1]
    kept = {f"{record.number:04d}" for record in (*ranked(records)[:3], *begun_with)}
    assert {path.parent.name for path in folder.glob("checkpoints/*/best.pt")} == kept
    assert f"report: {ROOT / 'reports' / 'run.py'} runs/study" in done.stdout
    assert "final training on all" in done.stdout
    assert (folder / "report" / "report.html").exists()

    done = command("search/run.py", "--data", data_file, "--budget", 5, "--seed", 1, *SMALL)
    assert done.returncode == 2
    assert "error: study 'study' exists with other settings" in done.stderr
    assert "seed was 0, is now 1" in done.stderr


def test_a_budget_of_epochs_ends_the_run_and_a_larger_one_goes_on(command, data_file, tmp_path):
    options = ("--budget", 3, *SMALL, "--max-epochs", 3, "--grace-epochs", 3, *ONE)
    done = command("search/run.py", "--data", data_file, "--epochs-budget", 4, "--price-per-hour", 2, *options)
    assert done.returncode == 0, done.stderr
    assert "not finished, the budget of 4 epochs is spent: the same command continues the study" in done.stdout
    assert "price" in done.stdout
    folder = tmp_path / "runs" / "study"
    # The trial whose report reaches the budget ends with it.
    assert [record.reported_epochs for record in Ledger.open(folder).records()] == [3, 1]
    done = command("search/run.py", "--data", data_file, "--epochs-budget", 99, *options)
    assert done.returncode == 0, done.stderr
    assert "not finished" not in done.stdout
    records = Ledger.open(folder).records()
    assert [record.reported_epochs for record in records] == [3, 3, 3]
    assert all(record.segments for record in records)


def test_checkpoints_may_go_to_an_object_store(command, object_store, data_file, tmp_path):
    """The report finds them there; the ledger stays on this machine."""
    from trainables.training.checkpoint_store import checkpoint_store

    storage = object_store("studies")
    done = command("search/run.py", "--data", data_file, "--budget", 1, "--storage", storage, *SMALL, *ONE)
    assert done.returncode == 0, done.stderr
    assert checkpoint_store(object_store("studies/study/checkpoints"), 0).load("best")["epoch"] in (1, 2)
    assert not (tmp_path / "runs" / "study" / "checkpoints").exists()
    done = command("reports/run.py", "runs/study", "--no-retrain")
    assert done.returncode == 0, done.stderr
    assert "submission: 5 rows of 384 pixels, checked" in done.stdout
    assert "ONNX file: on 16 real images its probabilities differ from PyTorch by at most" in done.stdout
    names = {"README.md", "model.json", "model.onnx", "weights.safetensors"}
    assert {path.name for path in (tmp_path / "runs" / "study" / "report" / "model").iterdir()} == names


def test_trials_run_the_code_of_the_driver_from_every_folder(data_file, logs, tmp_path):
    """Not that of the checkout which the environment has installed, nor files of the folder that it is started in."""
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for package in ("search", "trainables"):
        shutil.copytree(ROOT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    trial = checkout / "trainables" / "training" / "trial.py"
    raises = trial.read_text().replace("data: PreparedData =", "raise RuntimeError('that checkout')\n        data =")
    compile(raises, trial, "exec")
    trial.write_text(raises)
    elsewhere.mkdir()
    for name in ("torchmetrics", "trainables"):
        (elsewhere / f"{name}.py").write_text("raise RuntimeError('of that name in the working folder')\n")
    arguments = ("--data", data_file, "--budget", 1, "--max-failures", 0, *SMALL)
    done = run_script(str(checkout / "search" / "run.py"), arguments, cwd=elsewhere, logs=logs)
    (record,) = Ledger.open(elsewhere / "runs" / "study").records()
    assert record.error.endswith("RuntimeError: that checkout"), done.stderr
    assert done.returncode == 1
    assert "no trial has completed" in done.stdout
    assert "reports/run.py" not in done.stdout


def test_a_machine_whose_memory_others_fill_ends_the_run_and_charges_no_trial(data_file, logs, tmp_path):
    """The threshold of Ray's memory monitor is below what a machine uses anyway."""
    arguments = ("--data", data_file, "--budget", 2, "--max-failures", 0, *SMALL, *ONE)
    environment = os.environ | {"RAY_memory_usage_threshold": "0.001", "COLUMNS": "160"}
    done = run_script("search/run.py", arguments, cwd=tmp_path, logs=logs, environment=environment)
    assert done.returncode == 1, done.stderr
    assert (
        "not finished, trials do not get enough memory (Ray killed its process because the machine's memory was full"
        in done.stdout
    )
    assert "best trials" not in done.stdout
    assert "reports/run.py" not in done.stdout
    ledger = tmp_path / "runs" / "study"
    assert {record.state for record in Ledger.open(ledger).records()} == {"running"}
    assert sys.executable not in (ledger / FILE).read_text()
