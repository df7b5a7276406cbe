"""The search command as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from search.ledger import FILE, Ledger
from tests.scripts import HANGS_AFTER

pytestmark = pytest.mark.slow

SMALL = ("--max-epochs", "2", "--sampler", "random", "--name", "study")
ONE = ("--max-concurrent", "1")
"""For tests that concurrent trials would prove nothing more in: each trial process takes seconds to start."""
LONG = ("--max-epochs", "60", "--grace-epochs", "60", "--patience", "60", "--name", "study", *ONE)


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
    assert "no GPU: the cpu profile narrows the search" in done.stdout
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

    done = command("search/run.py", "--data", data_file, "--budget", 5, *SMALL)
    assert done.returncode == 0, done.stderr
    records = Ledger.open(folder).records()
    assert records[:3] == first
    assert len(records) == 5
    assert len(list(folder.glob("checkpoints/*/best.pt"))) == 3

    done = command("search/run.py", "--data", data_file, "--budget", 5, "--seed", 1, *SMALL)
    assert done.returncode == 2
    assert "error: study 'study' exists with other settings" in done.stderr
    assert "seed was 0, is now 1" in done.stderr


def test_a_budget_of_epochs_ends_the_run_and_a_larger_one_goes_on(command, data_file, tmp_path):
    options = ("--budget", 4, "--grace-epochs", 2, *SMALL, *ONE)
    done = command("search/run.py", "--data", data_file, "--epochs-budget", 3, "--price-per-hour", 2, *options)
    assert done.returncode == 0, done.stderr
    assert "not finished, the budget of 3 epochs is spent: the same command continues the study" in done.stdout
    assert "price" in done.stdout
    folder = tmp_path / "runs" / "study"
    assert [record.told_epochs for record in Ledger.open(folder).records()] == [2, 1]
    done = command("search/run.py", "--data", data_file, "--epochs-budget", 99, *options)
    assert done.returncode == 0, done.stderr
    assert "not finished" not in done.stdout
    records = Ledger.open(folder).records()
    assert sum(len(record.reports) for record in records) == 8
    assert all(record.segments for record in records)


def test_checkpoints_may_go_to_an_object_store(command, object_store, data_file, tmp_path):
    """The report finds them there; the ledger stays on this machine."""
    from trainables.trial import checkpoint_store

    storage = object_store("studies")
    done = command("search/run.py", "--data", data_file, "--budget", 1, "--storage", storage, *SMALL, *ONE)
    assert done.returncode == 0, done.stderr
    assert checkpoint_store(object_store("studies/study/checkpoints"), 0).load("best")["epoch"] in (1, 2)
    assert not (tmp_path / "runs" / "study" / "checkpoints").exists()
    done = command("reports/run.py", "runs/study", "--no-retrain")
    assert done.returncode == 0, done.stderr
    assert "submission: 5 rows of 384 pixels, checked" in done.stdout


def test_a_killed_search_goes_on_where_it_was(driver, command, data_file, tmp_path):
    process = driver("--budget", 2, *LONG, epochs=30)
    process.kill()
    process.wait()
    folder = tmp_path / "runs" / "study"
    before = Ledger.open(folder).records()
    assert any(record.state == "running" for record in before)

    done = command("search/run.py", "--data", data_file, "--budget", 2, *LONG)
    assert done.returncode == 0, done.stderr
    after = Ledger.open(folder).records()
    assert [record.state for record in after] == ["complete"] * 2
    for record in after:
        assert [report.epoch for report in record.reports] == list(range(1, 61))
    for record in before:
        assert after[record.number].config == record.config
        assert after[record.number].reports[: len(record.reports)] == record.reports


def test_ctrl_c_stops_with_a_summary_and_the_study_can_go_on(driver, tmp_path):
    process = driver("--budget", 200, *SMALL, epochs=3)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 130, errors
    assert "not finished, interrupted: the same command continues the study" in output
    assert "Traceback" not in output + errors
    states = [record.state for record in Ledger.open(tmp_path / "runs" / "study").records()]
    assert 0 < len(states) < 200


def test_a_second_driver_of_a_study_is_refused(driver, command, data_file):
    endless = ("--max-epochs", "9999", "--grace-epochs", "9999", "--patience", "9999", "--name", "study", *ONE)
    first = driver("--budget", "2", *endless)
    done = command("search/run.py", "--data", data_file, "--budget", 2, *endless)
    assert done.returncode == 2
    assert "error: study 'study' is run by " in done.stderr
    assert f"(process {first.pid})" in done.stderr
    first.send_signal(signal.SIGTERM)
    output, errors = first.communicate(timeout=HANGS_AFTER)
    assert first.returncode == 143, errors
    assert "not finished, interrupted" in output


def test_ctrl_c_twice_ends_at_once_and_loses_nothing(driver, command, data_file, tmp_path):
    process = driver("--budget", "2", *LONG, epochs=5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 130
    assert "Traceback" not in errors
    before = Ledger.open(tmp_path / "runs" / "study").records()
    done = command("search/run.py", "--data", data_file, "--budget", 2, *LONG)
    assert done.returncode == 0, done.stderr
    after = Ledger.open(tmp_path / "runs" / "study").records()
    for record in after:
        assert [report.epoch for report in record.reports] == list(range(1, 61))
    for record in before:
        assert after[record.number].reports[: len(record.reports)] == record.reports


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 200 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_the_study_goes_on_when_there_is_room(driver, command, data_file, small_disk):
    process = driver("--budget", "2", *LONG, cwd=small_disk, epochs=3)
    filler = small_disk / "filler"
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, check=False
    )  # until it is full
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 1, output + errors
    assert "No space left on device" in output
    assert "once that is put right: the same command continues the study" in output
    assert "Traceback" not in errors
    before = Ledger.open(small_disk / "runs" / "study").records()
    assert {record.state for record in before} == {"running"}
    filler.unlink()
    (small_disk / "runs" / "study" / FILE).open("ab").write(b'{"op_code":8,"tri')  # as a crash could have left it
    done = command("search/run.py", "--data", data_file, "--budget", 2, *LONG, cwd=small_disk)
    assert done.returncode == 0, done.stdout + done.stderr
    after = Ledger.open(small_disk / "runs" / "study").records()
    assert [record.state for record in after] == ["complete"] * 2
    for record in after:
        assert [report.epoch for report in record.reports] == list(range(1, 61))
