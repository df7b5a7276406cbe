"""`mars-search` starts the scripts, with their arguments and their exit codes."""

from __future__ import annotations

import sys

import pytest

from search import ROOT, console


@pytest.fixture
def started(monkeypatch):
    """Starts the command, and returns what would have been run."""
    runs = []
    monkeypatch.setattr(sys, "path", ["/somewhere", *sys.path[1:]])
    monkeypatch.setattr(console.runpy, "run_path", lambda path, run_name: runs.append((path, run_name, sys.argv)))

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["mars-search", *arguments])
        console.main()
        return runs

    return start


@pytest.mark.parametrize(
    ("command", "script", "options"),
    [
        ("run", "search/run.py", []),
        ("report", "reports/run.py", []),
        ("predict", "reports/predict.py", []),
        ("replay", "search/replay.py", []),
        ("status", "search/run.py", ["--status"]),
    ],
)
def test_each_command_is_a_script(command, script, options, started):
    path = str(ROOT / script)
    assert (ROOT / script).is_file()
    assert started(command, "a", "--b") == [(path, "__main__", [path, *options, "a", "--b"])]


def test_a_script_ends_with_its_own_code(monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", ["/somewhere", *sys.path[1:]])
    monkeypatch.setattr(sys, "argv", ["mars-search", "replay", "--help"])
    with pytest.raises(SystemExit) as ended:
        console.main()
    assert ended.value.code == 0
    assert "python search/replay.py" in capsys.readouterr().out


def test_help_lists_the_commands(started, capsys):
    assert started("--help") == []
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ")] == list(console.COMMANDS)


@pytest.mark.parametrize("arguments", [(), ("serch",)])
def test_what_is_no_command_is_refused_with_those_that_there_are(arguments, started, capsys):
    with pytest.raises(SystemExit) as ended:
        started(*arguments)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert "usage: mars-search COMMAND" in text
    assert ("'serch' is not a command" in text) == bool(arguments)
