from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from search import ROOT
from search.cli import then_report
from search.cli.options.search_parser import parse
from search.cli.then_report import begin_report, share_time
from search.ledger.costs import final_training_seconds
from tests.made.records import trial_record
from tests.made.studies import epoch_report


def options(*arguments):
    return parse(arguments)


def test_a_time_budget_covers_both(monkeypatch):
    monkeypatch.setattr(then_report.time, "time", lambda: 1000.0)
    given = options("--time-budget", "60m", "--then-report")
    given = share_time(given)
    assert given.time_budget == 24 * 60
    assert given.report_until == 1000.0 + 3600


def test_without_a_report_the_search_has_all_of_it():
    given = options("--time-budget", "60m")
    given = share_time(given)
    assert (given.time_budget, given.report_until) == (3600, None)


@pytest.mark.parametrize(
    ("until", "budget"), [(None, []), (1090.4, ["--time-budget", "90s"]), (900.0, ["--time-budget", "1s"])]
)
def test_the_process_becomes_the_reports(until, budget, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(os, "execv", lambda *command: started.append(command))
    monkeypatch.setattr(then_report.time, "time", lambda: 1000.0)
    begin_report(Path("runs/a study"), until)
    script = str(ROOT / "reports" / "run.py")
    assert started == [(sys.executable, [sys.executable, script, "runs/a study", *budget])]
    assert capsys.readouterr().out.startswith(f"report: {script} 'runs/a study'")


@pytest.mark.parametrize("arguments", [["--view", "events"], ["--address", "http://127.0.0.1:8265"]])
def test_a_submitted_search_makes_no_report_here(arguments):
    with pytest.raises(ValueError, match="--then-report cannot be combined with --address"):
        options("--then-report", *arguments)


def test_the_final_training_is_reckoned_from_the_best_trial():
    data = SimpleNamespace(images=range(50), split={"train": np.arange(40)}, crops=np.ones_like)
    reports = tuple(epoch_report(epoch, score, train_seconds=10.0) for epoch, score in enumerate([0.1, 0.6, 0.5], 1))
    records = [trial_record(0, [0.3]), trial_record(1, reports=reports)]
    assert final_training_seconds(records, data) == 2 * 10.0 * 50 / 40
    assert final_training_seconds([trial_record(0, [])], data) is None
