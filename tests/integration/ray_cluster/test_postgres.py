"""Studies whose ledger is in a PostgreSQL database, as users run them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from search.ledger.ledger import FILE, Ledger
from search.storage.postgres_connection import with_driver
from tests.processes.ports import free_port
from tests.processes.postgres import PASSWORD
from tests.processes.scripts import HANGS_AFTER

pytestmark = [pytest.mark.slow, pytest.mark.long]

SMALL = ("--max-epochs", "2", "--sampler", "random", "--name", "study")
LONG = ("--max-epochs", "40", "--grace-epochs", "40", "--patience", "40", "--sampler", "random", "--name", "study")


def test_a_search_gets_over_a_killed_server_and_every_command_finds_the_study(
    driver, command, data_file, postgres, tmp_path
):
    url = postgres.new_database()
    process = driver("--budget", 3, "--ledger", url, *LONG, epochs=10)
    postgres.kill()
    time.sleep(1)  # for a while trials have nowhere to go with their epochs
    postgres.start()
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 0, output + errors
    assert errors == ""
    assert "the database is gone" in output
    assert "the database is back: the search continues, nothing is lost" in output
    folder = tmp_path / "runs" / "study"
    records = Ledger.open(folder).records()
    assert [record.state for record in records] == ["complete"] * 3
    for record in records:
        assert [report.epoch for report in record.reports] == list(range(1, 41))
        assert record.failures == ()
    assert not (folder / FILE).exists()
    assert not any(PASSWORD.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    done = command("reports/run.py", "runs/study", "--no-retrain", "--no-onnx")
    assert done.returncode == 0, done.stderr
    assert "submission: 5 rows of 384 pixels, checked" in done.stdout
    done = command("search/run.py", "--status", "study")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 complete" in done.stdout
    done = command("search/run.py", "--data", data_file, "--dry-run", "--start-from", "runs/study", "--name", "next")
    assert done.returncode == 0, done.stderr
    assert "starting points, then" in done.stdout
    done = command("search/run.py", "--data", data_file, "--budget", 4, *LONG)
    assert done.returncode == 0, done.stderr
    assert "3 are already in the ledger" in done.stdout
    assert len(Ledger.open(folder).records()) == 4
    other = postgres.new_database()
    done = command("search/run.py", "--data", data_file, "--budget", 5, "--ledger", other, *LONG)
    assert done.returncode == 2
    assert f"error: --ledger {other}: the study in runs/study has its ledger in {url}" in done.stderr


def test_drivers_on_two_machines_are_kept_apart(driver, command, data_file, object_store, postgres, tmp_path):
    """They share checkpoints and database, but no file system."""
    endless = ("--max-epochs", 9999, "--grace-epochs", 9999, "--patience", 9999, "--name", "study")
    options = ("--budget", 2, "--storage", object_store("studies"), "--ledger", postgres.new_database(), *endless)
    first = driver(*options)
    second = tmp_path / "second"
    second.mkdir()
    done = command("search/run.py", "--data", data_file, *options, cwd=second)
    assert done.returncode == 2, done.stdout
    assert "error: study 'study' is run by " in done.stderr
    assert f"(process {first.pid})" in done.stderr
    done = command("search/run.py", "--data", data_file, *options, "--seed", 1, cwd=second)
    assert done.returncode == 2, done.stdout
    assert "error: study 'study' exists with other settings" in done.stderr
    assert "seed was 0, is now 1" in done.stderr
    first.send_signal(signal.SIGTERM)
    output, errors = first.communicate(timeout=HANGS_AFTER)
    assert first.returncode == 143, errors
    assert "not finished, interrupted" in output


def test_a_search_whose_machine_is_lost_goes_on_from_another(
    driver, command, data_file, object_store, postgres, tmp_path
):
    options = ("--budget", 2, "--storage", object_store("studies"), "--ledger", postgres.new_database(), *LONG)
    first = driver(*options, epochs=5)
    first.kill()
    first.communicate()
    before = Ledger.open(tmp_path / "runs" / "study").records()
    second = tmp_path / "second"
    second.mkdir()
    done = command("search/run.py", "--data", data_file, *options, cwd=second)
    assert done.returncode == 0, done.stderr
    after = Ledger.open(second / "runs" / "study").records()
    assert [record.state for record in after] == ["complete"] * 2
    for record in after:
        assert [report.epoch for report in record.reports] == list(range(1, 41))
    for record in before:
        assert after[record.number].reports[: len(record.reports)] == record.reports


def test_a_database_that_cannot_be_used_is_refused_before_anything_trains(
    command, data_file, postgres, monkeypatch, tmp_path
):
    def refused(url, expected):
        done = command("search/run.py", "--data", data_file, "--ledger", url, *SMALL)
        assert done.returncode == 2, done.stdout
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert not (tmp_path / "runs").exists()

    url = postgres.new_database()
    refused(postgres.url("missing"), 'database "missing" does not exist')
    refused(url.replace(f":{postgres.port}", ":1"), "Connection refused")
    refused(url.replace("@", ":hunter2@"), "argument --ledger: leave the password out")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    refused(url, "password authentication failed for user")


def shown_by_the_dashboard(storage):
    """The studies of Optuna's own dashboard, and what it shows of the first one."""
    port = free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [program, "--port", str(port), "--quiet", storage], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return json.load(answer)

    try:
        deadline = time.monotonic() + HANGS_AFTER
        while True:
            try:
                studies = get("/api/studies")["study_summaries"]
                return studies, get(f"/api/studies/{studies[0]['study_id']}?after=0")
            except OSError:
                assert server.poll() is None, server.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        server.terminate()
        server.communicate()


@pytest.mark.parametrize("place", ["journal", "postgres"])
def test_the_dashboard_shows_a_study(place, command, data_file, postgres, tmp_path):
    url = postgres.new_database()
    options = () if place == "journal" else ("--ledger", url)
    done = command("search/run.py", "--data", data_file, "--budget", 2, *SMALL, *options)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "study"
    records = Ledger.open(folder).records()
    studies, study = shown_by_the_dashboard(str(folder / FILE) if place == "journal" else with_driver(url))
    assert [summary["study_name"] for summary in studies] == ["study"]
    assert len(study["trials"]) == 2
    for trial, record in zip(study["trials"], records, strict=True):
        assert trial["state"].lower() == record.state.replace("failed", "fail")
        assert {value["step"]: value["value"] for value in trial["intermediate_values"]} == {
            report.epoch: report.mean_iou for report in record.reports
        }
        assert {parameter["name"] for parameter in trial["params"]} == set(record.params)
