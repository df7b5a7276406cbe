"""What a study is: whatever it is called, wherever it lies, and whoever else uses its checkpoints' place."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from search.ledger.ledger import Ledger
from search.storage.location import FILE
from tests.integration.conftest import ONE
from tests.processes.scripts import HANGS_AFTER

pytestmark = pytest.mark.slow

SHORT = ("--max-epochs", "1", "--sampler", "random", *ONE)
ENDLESS = ("--max-epochs", 9999, "--grace-epochs", 9999, "--patience", 9999, "--name", "study", *ONE)


def weights(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("best.pt"))


def test_a_study_is_named_after_its_data_begun_renamed_and_gone_on_with(command, data_file, tmp_path):
    data = shutil.copy(data_file, tmp_path / "tiny set (1).npz")
    folder = tmp_path / "runs" / "tiny-set-1"
    folder.mkdir(parents=True)
    (folder / FILE).touch()  # as a full disk leaves it
    done = command("search/run.py", "--data", data, "--budget", 1, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "the study's name is tiny-set-1, made from 'tiny set (1)'" in done.stdout
    done = command("search/run.py", "--status", "tiny-set-1")
    assert done.returncode == 0, done.stderr
    assert "run by nobody; trials: 1 complete" in done.stdout
    done = command("search/run.py", "--stop", "tiny-set-1")
    assert done.returncode == 2
    assert "study 'tiny-set-1' is not running" in done.stderr

    renamed = folder.rename(tmp_path / "runs" / "mars-2026")
    done = command("search/run.py", "--data", data, "--budget", 2, "--name", "mars-2026", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "1 is already in the ledger" in done.stdout
    assert [record.state for record in Ledger.open(renamed).records()] == ["complete"] * 2
    assert weights(renamed) == ["checkpoints/0000/best.pt", "checkpoints/0001/best.pt"]
    assert not list(renamed.glob("driver-*"))


def test_two_machines_with_one_place_for_checkpoints_leave_each_others_alone(driver, command, data_file, tmp_path):
    """They share nothing else: each has a ledger of its own."""
    place = tmp_path / "store" / "study" / "checkpoints"
    options = ("--budget", 2, "--storage", f"file://{tmp_path}/store", *ENDLESS)
    first = driver(*options)
    second = tmp_path / "second"
    second.mkdir()
    done = command("search/run.py", "--data", data_file, *options, cwd=second)
    assert done.returncode == 2, done.stdout
    assert f"(process {first.pid})" in done.stderr
    assert "error: study 'study' is run by " in done.stderr
    assert list(second.iterdir()) == []
    first.send_signal(signal.SIGTERM)
    output, errors = first.communicate(timeout=HANGS_AFTER)
    assert first.returncode == 143, errors
    assert "not finished, interrupted" in output
    before = sorted(place.rglob("*.pt"))
    assert [path.name for path in before] == ["best.pt", "last.pt"]
    done = command("search/run.py", "--data", data_file, *options, cwd=second)
    assert done.returncode == 2, done.stdout
    assert "checkpoints: holds checkpoints of another study, run by" in done.stderr
    assert f"{tmp_path}/runs/study" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(second.iterdir()) == []
    assert sorted(place.rglob("*.pt")) == before
