"""A search for another score than the mean IoU, and its report, through the real commands."""

from __future__ import annotations

import csv
import re

import pytest

from search.ledger.ledger import Ledger
from search.ledger.ranking import ranked
from tests.integration.conftest import ONE

pytestmark = pytest.mark.slow

SMALL = ("--max-epochs", "2", "--sampler", "random", "--name", "study")


def test_another_score_is_maximised_shown_and_kept(command, data_file, tmp_path):
    options = ("--data", data_file, "--budget", 1, *SMALL, *ONE)
    chosen = ("--metric", "dice", "--score-classes", "big rock,soil")
    done = command("search/run.py", *options, *chosen)
    assert done.returncode == 0, done.stderr
    title = "mean Dice of soil, big rock"
    assert re.search(f"score +{title} on the validation part", done.stdout)
    for said in (f"complete  {title} 0.", f"best trials ({title} on", f"{title} 0."):
        assert said in done.stdout, said
    study = tmp_path / "runs" / "study"
    done = command("reports/run.py", study, "--no-submission", "--no-onnx")
    assert done.returncode == 0, done.stderr
    best = ranked(Ledger.open(study).records())[0].best
    assert best is not None
    assert best.score != best.mean_iou
    rows = list(csv.DictReader((study / "report" / "leaderboard.csv").open()))
    assert (float(rows[0]["score"]), float(rows[0]["mean_iou"])) == pytest.approx((best.score, best.mean_iou))
    page = (study / "report" / "report.html").read_text()
    assert f"{title} on" in page
    assert "The mean IoU of all classes is" in page

    listed = command("search/run.py", "--status")
    assert title in listed.stdout
    done = command("search/run.py", *options)
    assert done.returncode == 2
    assert "metric was 'dice', is now 'mean_iou'; score_classes was ['soil', 'big rock'], is now None" in done.stderr
    assert "repeat them to continue it, or give another --name" in done.stderr
