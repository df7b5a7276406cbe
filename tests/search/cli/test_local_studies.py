from __future__ import annotations

import json
import signal
import subprocess

import pytest

from search.cli.local_studies import run_study_command
from search.cli.options.search_parser import parse
from search.ledger.ledger import FILE, Ledger
from search.locking.folder_lock import OWNER, this_driver
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
    return run_study_command(parse(["--storage", str(root), *arguments]))


def test_studies_are_listed(root, capsys):
    assert ask(root, "--status") == 0
    text = capsys.readouterr().out
    assert "first" in text
    assert "0.6250" in text
    assert text.count("nobody") == 2


def test_trials_of_a_driver_that_was_killed_are_interrupted(root, capsys, hold):
    ledger, space = Ledger.create(root / "second"), unet_space(PROFILES["cpu"])
    for _ in range(2):
        ledger.add_epoch(begin(ledger, space).number, epoch_report(1, 0.25))
    ask(root, "--status")
    assert "2 (2 interrupted)" in capsys.readouterr().out
    ask(root, "--status", "second")
    text = capsys.readouterr().out
    assert "run by nobody; trials: 2 interrupted" in text
    assert "running" not in text
    hold(root / "second")
    ask(root, "--status")
    assert "2 (2 running)" in capsys.readouterr().out


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
    with pytest.raises(ValueError, match="is not running"):
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
        (ProcessLookupError, "study 'first' is no longer running"),
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
    with pytest.raises(ValueError, match="study 'first' has just started: try again"):
        ask(root, "--stop", "first")
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--status", "none"], "no study there"),
        (["--stop", "none"], "no study there"),
        (["--logs", "first"], "add --address"),
    ],
)
def test_mistakes(root, arguments, message):
    with pytest.raises(ValueError, match=message):
        ask(root, *arguments)


def test_no_studies(tmp_path):
    with pytest.raises(ValueError, match="contains no studies"):
        ask(tmp_path, "--status")


def test_a_study_is_renamed(root, capsys):
    assert ask(root, "--rename", "first", "third") == 0
    assert "--name third continues it" in capsys.readouterr().out
    assert sorted(path.name for path in root.iterdir()) == ["second", "third"]
    assert ask(root, "--status", "third") == 0
    assert "0.6250" in capsys.readouterr().out


def test_the_disk_that_each_study_takes_is_shown(root, capsys):
    with (root / "first" / "checkpoints").open("wb") as file:
        file.truncate(3 * 2**20)
    ask(root, "--status")
    assert "3.0 MiB" in capsys.readouterr().out
    ask(root, "--status", "first")
    assert "(3.0 MiB): run by nobody" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "deleted"), [("y", True), ("Yes", True), ("", False), ("n", False)])
def test_a_study_is_deleted_when_the_answer_is_yes(answer, deleted, root, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(True) or answer)
    assert ask(root, "--delete", "first") == 0
    text = capsys.readouterr().out
    assert "delete study first, 1 trials and 0.0 MiB in" in text
    assert asked == [True]
    assert (root / "first").exists() != deleted
    assert ("study first was deleted" in text) == deleted
    assert (root / "second").exists()


def test_without_a_terminal_it_is_deleted_only_when_that_is_meant(root, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(ValueError, match="without a terminal: add --yes"):
        ask(root, "--delete", "first")
    (root / "first" / "notes.txt").touch()
    assert ask(root, "--delete", "first", "--yes") == 0
    assert f"kept, because not part of the study: {root / 'first' / 'notes.txt'}\n" in capsys.readouterr().out
