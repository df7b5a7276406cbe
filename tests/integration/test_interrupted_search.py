"""Searches that something ends before their budget, through the real command, and that go on afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

from search.ledger.ledger import FILE, Ledger
from search.ledger.records import TrialRecord
from tests.integration.conftest import ONE, epochs_in
from tests.processes.scripts import HANGS_AFTER, Script

pytestmark = pytest.mark.slow

EPOCHS = 40
LONG = ("--max-epochs", EPOCHS, "--grace-epochs", EPOCHS, "--patience", EPOCHS, "--name", "study", *ONE)
SHORT = ("--max-epochs", 2, "--sampler", "random", "--name", "study", *ONE)


def complete(records: list[TrialRecord]) -> bool:
    """Whether each trial has all its epochs, in order."""
    epochs = list(range(1, EPOCHS + 1))
    return all(record.state == "complete" and [r.epoch for r in record.reports] == epochs for record in records)


def test_ctrl_c_twice_ends_at_once_and_loses_nothing_and_neither_does_a_kill(driver, command, data_file, tmp_path):
    folder = tmp_path / "runs" / "study"
    first = driver("--budget", 2, *LONG, epochs=5)
    first.send_signal(signal.SIGINT)
    time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=HANGS_AFTER)
    assert first.returncode == 130
    assert "Traceback" not in errors
    interrupted = Ledger.open(folder).records()

    second = driver("--budget", 2, *LONG, epochs=epochs_in(folder) + 5)
    second.kill()
    second.wait()
    killed = Ledger.open(folder).records()
    assert any(record.state == "running" for record in killed)

    done = command("search/run.py", "--data", data_file, "--budget", 2, *LONG)
    assert done.returncode == 0, done.stderr
    after = Ledger.open(folder).records()
    assert len(after) == 2
    assert complete(after)
    for record in (*interrupted, *killed):
        assert after[record.number].config == record.config
        assert after[record.number].reports[: len(record.reports)] == record.reports


def test_a_second_driver_is_refused_and_a_signal_to_its_group_ends_the_first_with_a_summary(
    driver, command, data_file, tmp_path
):
    first = driver("--budget", 200, *SHORT, epochs=3)
    done = command("search/run.py", "--data", data_file, "--budget", 200, *SHORT)
    assert done.returncode == 2
    assert "error: study 'study' is run by " in done.stderr
    assert f"(process {first.pid})" in done.stderr
    os.killpg(first.pid, signal.SIGTERM)  # as `timeout` does
    output, errors = first.communicate(timeout=HANGS_AFTER)
    assert first.returncode == 143, errors
    assert "best trials" in output
    assert "not finished, interrupted: the same command continues the study" in output
    assert "Traceback" not in output + errors
    states = [record.state for record in Ledger.open(tmp_path / "runs" / "study").records()]
    assert 0 < len(states) < 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_first_seconds_ends_the_run_with_one_line(number, data_file, logs, tmp_path):
    process = Script("search/run.py", ["--data", data_file, "--budget", 2, *SHORT], cwd=tmp_path, logs=logs)
    deadline = time.monotonic() + HANGS_AFTER
    while "data: " not in process.stdout:  # Ray is about to start
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 128 + number, output + errors
    assert errors == "interrupted: the same command starts or continues the study\n"
    assert "best trials" not in output


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
    assert "once that is fixed: the same command continues the study" in output
    assert "Traceback" not in errors
    before = Ledger.open(small_disk / "runs" / "study").records()
    assert {record.state for record in before} == {"running"}
    filler.unlink()
    (small_disk / "runs" / "study" / FILE).open("ab").write(b'{"op_code":8,"tri')  # as a crash could have left it
    done = command("search/run.py", "--data", data_file, "--budget", 2, *LONG, cwd=small_disk)
    assert done.returncode == 0, done.stdout + done.stderr
    after = Ledger.open(small_disk / "runs" / "study").records()
    assert len(after) == 2
    assert complete(after)
