from __future__ import annotations

import json
import signal
import subprocess

import pytest

from search.cli.local_studies import run_study_command
from search.cli.options import parser
from search.ledger.ledger import FILE, Ledger
from search.locking.lock import OWNER, this_driver
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.studies import begin, epoch_report


@pytest.fixture
def root(tmp_path):
    ledger = Ledger.create(tmp_path / "first")
    record = begin(ledger, unet_space(PROFILES["cpu"]))
    ledger.add_epoch(record.number, epoch_report(1, 0.625))
    ledger.complete(record.number)
    Ledger.create(tmp_path / "second")
    return tmp_path


def ask(root, *arguments):
    return run_study_command(parser().parse_args(["--storage", str(root), *arguments]))


def test_studies_are_listed(root, capsys):
    assert ask(root, "--status") == 0
    text = capsys.readouterr().out
    assert "first" in text
    assert "0.6250" in text
    assert text.count("nobody") == 2


def test_one_that_cannot_be_read_hides_no_other(root, capsys):
    (root / "first" / FILE).write_text("nothing\nnothing\n")
    assert ask(root, "--status") == 0
    text = capsys.readouterr().out
    assert "damaged" in text
    assert "second" in text


def test_a_study_that_nobody_runs(root, capsys):
    assert ask(root, "--status", "first") == 0
    text = capsys.readouterr().out
    assert "run by nobody; trials: 1 complete" in text
    assert "0.6250" in text
    with pytest.raises(ValueError, match="nobody runs it"):
        ask(root, "--stop", "first")


def test_a_study_that_has_no_ledger_yet_is_stopped_too(root, hold):
    holder = hold(root / "third")
    ask(root, "--stop", "third")
    assert holder.wait(30) == -signal.SIGTERM


def test_a_study_that_runs_is_stopped_where_it_is(root, capsys, hold):
    holder = hold(root / "first")
    ask(root, "--status", "first")
    assert f"(process {holder.pid})" in capsys.readouterr().out.replace("\n", "")
    ask(root, "--stop", "first")
    assert holder.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError, r"study 'first' is run by .* \(process \d+\) since .*: only that user can stop it"),
        (ProcessLookupError, "study 'first': nobody runs it any more"),
    ],
)
def test_a_driver_that_cannot_be_signalled_is_named(error, message, root, hold, monkeypatch):
    def kill(process, number):
        raise error

    hold(root / "first")
    monkeypatch.setattr("search.cli.local_studies.os.kill", kill)
    with pytest.raises(ValueError, match=message):
        ask(root, "--stop", "first")


def test_no_process_is_signalled_that_has_a_dead_drivers_number(root, hold):
    hold(root / "first")  # it has just begun: what is written there is still the earlier driver's
    owner = root / "first" / OWNER
    innocent = subprocess.Popen(["sleep", "60"])
    owner.write_text(json.dumps(this_driver() | {"process": innocent.pid, "since": "2024-05-01T12:00:00+02:00"}))
    with pytest.raises(ValueError, match="study 'first' has just begun: try again"):
        ask(root, "--stop", "first")
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--status", "none"], "no study there"),
        (["--stop", "none"], "no study there"),
        (["--logs", "first"], "wants --address"),
    ],
)
def test_mistakes(root, arguments, message):
    with pytest.raises(ValueError, match=message):
        ask(root, *arguments)


def test_no_studies(tmp_path):
    with pytest.raises(ValueError, match="no studies there"):
        ask(tmp_path, "--status")
