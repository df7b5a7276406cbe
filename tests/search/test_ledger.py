from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from search.ledger import FILE, Ledger


def test_a_trial_comes_back_from_disk_as_it_was_told(ledger, space, make_report, normalise, tmp_path):
    born = ledger.ask(space, {"training.max_epochs": 9}, normalise)
    reports = [make_report(1, 0.3), make_report(2, 0.6), make_report(3, 0.5, ended="max_epochs")]
    for report in reports:
        ledger.add_epoch(born.number, report)
    ledger.complete(born.number)

    record = Ledger.open(tmp_path / "study").record(born.number)
    assert record.state == "complete"
    assert record.reports == tuple(reports)
    assert record.config == born.config
    assert record.config["training.max_epochs"] == 9
    assert record.score == 0.6
    assert record.best is not None
    assert record.best.epoch == 2
    assert ledger.study.best_value == 0.6


def test_a_pruned_trial_is_told_with_its_values(ledger, space, make_report, normalise):
    number = ledger.ask(space, {}, normalise).number
    ledger.add_epoch(number, make_report(1, 0.2))
    ledger.add_epoch(number, make_report(2, 0.25))
    assert ledger.prune(number).state == "pruned"
    frozen = ledger.study.trials[number]
    assert frozen.state == optuna.trial.TrialState.PRUNED
    assert frozen.intermediate_values == {1: 0.2, 2: 0.25}


def test_a_diverged_epoch_is_kept_but_gives_the_sampler_no_value(ledger, space, make_report, normalise):
    number = ledger.ask(space, {}, normalise).number
    ledger.add_epoch(number, make_report(1, 0.2))
    ledger.add_epoch(number, make_report(2, float("nan"), ended="diverged", train_loss=float("nan")))
    record = ledger.fail(number, "diverged")
    assert record.state == "failed"
    assert record.error == "diverged"
    assert len(record.reports) == 2
    assert record.score == 0.2
    assert ledger.study.trials[number].intermediate_values == {1: 0.2}


def test_an_orphan_goes_on_under_its_own_number_and_configuration(ledger, space, make_report, normalise, tmp_path):
    born = ledger.ask(space, {}, normalise)
    ledger.add_epoch(born.number, make_report(1))

    later = Ledger.open(tmp_path / "study")
    revived = later.revive(born.number, space, {}, normalise)
    assert (revived.number, revived.config) == (born.number, born.config)
    later.add_epoch(born.number, make_report(2, ended="max_epochs"))
    assert later.complete(born.number).state == "complete"
    assert len(later.records()) == 1


@pytest.mark.parametrize(("ended", "state"), [("max_epochs", "complete"), ("diverged", "failed")])
def test_an_end_that_was_reported_but_never_told_is_told_by_the_next_driver(
    ended, state, ledger, space, make_report, normalise, tmp_path
):
    number = ledger.ask(space, {}, normalise).number
    going_on = ledger.ask(space, {}, normalise).number
    for trial in (number, going_on):
        ledger.add_epoch(trial, make_report(1, 0.4))
    ledger.add_epoch(number, make_report(2, 0.3, ended=ended))
    records = Ledger.create(tmp_path / "study").records()
    assert records[number].state == state
    assert records[number].score == 0.4
    assert records[going_on].state == "running"


def test_an_orphan_killed_before_its_configuration_gets_the_rest_of_it(ledger, space, normalise, tmp_path):
    trial = ledger.study.ask()
    depth = trial.suggest_categorical("model.depth", space.parameters[0].choices)
    later = Ledger.open(tmp_path / "study")
    record = later.revive(trial.number, space, {}, normalise)
    assert record.config["model.depth"] == depth
    assert "optimizer.lr" in record.config


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no study there"):
        Ledger.open(tmp_path)
    (tmp_path / FILE).touch()
    with pytest.raises(ValueError, match="holds no study"):
        Ledger.open(tmp_path)


def test_an_unwritable_folder_is_refused():
    with pytest.raises(ValueError, match="cannot write"):
        Ledger.create(Path("/proc/study"))


def test_a_driver_killed_while_it_writes_leaves_no_lock_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # studies usually have a relative path
    Ledger.create(Path("study"))
    holder = """
import os, pathlib, signal
from search.ledger import FILE, Ledger, _JournalLock
_JournalLock(pathlib.Path("study") / FILE).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", holder], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (Path("study") / f"{FILE}.lock").exists()
    again = Ledger.create(Path("study"))
    again.settings = {"data": "none"}
    assert Ledger.open(Path("study")).settings == {"data": "none"}
