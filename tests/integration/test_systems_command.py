"""The systems of the reports through the real commands."""

from __future__ import annotations

import csv
import re

import pytest

from search.ledger.ledger import Ledger
from search.study.systems import SYSTEMS
from tests.integration.conftest import ONE

SMALL = (*ONE, "--max-epochs", "4", "--set", "model.width=4", "--set", "training.batch_size=4", "--name", "study")
CHOSEN = ["a-ce", "a-ce-ignoring", "b-unet2", "b-unet3", "b-attention", "b-finetuned"]


def test_the_systems_are_listed_without_any_data(command):
    done = command("search/run.py", "--systems")
    assert done.returncode == 0
    for system in SYSTEMS.values():
        assert re.search(rf"│ {system.name} +│", done.stdout)
    assert "53.50 leaderboard" in done.stdout


@pytest.mark.slow
def test_systems_are_run_with_seeds_and_reported_beside_their_published_scores(command, data_file, tmp_path):
    start = ("search/run.py", "--data", data_file, "--systems", ",".join(CHOSEN), "--train-fraction", "0.8", *SMALL)
    done = command(*start)
    assert done.returncode == 0, done.stderr
    assert "6 of the two reports with 1 seeds, model.width=4, training.batch_size=4" in done.stdout
    folder = tmp_path / "runs" / "study"
    assert [record.state for record in Ledger.open(folder).records()] == ["complete"] * 6
    done = command(*start, "--seeds", 2)
    assert done.returncode == 0, done.stderr
    records = Ledger.open(folder).records()
    assert [record.params["system"] for record in records] == CHOSEN * 2
    assert [record.params["training.seed"] for record in records] == [0] * 6 + [1] * 6
    assert {record.config["model.width"] for record in records} == {4}
    assert len(list(folder.glob("checkpoints/*/best.pt"))) == 12

    done = command(*start[:4], "a-ce", *start[5:])
    assert done.returncode == 2
    assert "systems was" in done.stderr

    done = command("reports/run.py", "runs/study", "--no-submission", "--no-onnx")
    assert done.returncode == 0, done.stderr
    assert "without another step of training" in done.stdout
    assert re.search(r"3 blocks beat 2: b-unet3 [+-]\d+\.\d\d points over b-unet2", done.stdout)
    rows = list(csv.DictReader((folder / "report" / "systems.csv").open()))
    assert [row["system"] for row in rows] == CHOSEN
    for row in rows:
        assert row["seeds"] == "2"
        assert 0 <= float(row["test mean_iou as predicted"]) <= 1
        assert float(row["test mean_iou sd"]) >= 0
    assert rows[0]["published validation %"] == "43.89"
    page = (folder / "report" / "report.html").read_text()
    assert "Systems of the two reports" in page
    assert "54.87 local test, 53.50 leaderboard" in page
    assert "trained on\n80 % of the train part, model.width = 4" in page
    assert "ASHA" not in page


@pytest.mark.slow
def test_a_search_begins_with_the_systems(command, data_file, tmp_path):
    arguments = ("--start-from", "systems", "--budget", 3, "--max-epochs", 1, "--name", "study", *ONE)
    done = command("search/run.py", "--data", data_file, *arguments)
    assert done.returncode == 0, done.stderr
    assert "3 starting points, the whole budget" in done.stdout
    records = Ledger.open(tmp_path / "runs" / "study").records()
    assert [record.state for record in records] == ["complete"] * 3
    assert [record.params["loss.name"] for record in records[:1]] == ["focal"]
    assert {record.params["model.depth"] for record in records} == {3}  # of the 4 of the systems: images are 16x24
    done = command("search/run.py", "--data", data_file, *arguments[:2], "--budget", 4, *arguments[4:])
    assert done.returncode == 0, done.stderr
    ledger = Ledger.open(tmp_path / "runs" / "study")
    assert ledger.records()[:3] == records
    assert ledger.records()[3].params.items() >= ledger.first[3].items()
