from __future__ import annotations

import ast
import sys

import pytest

from search import ROOT
from search.entry_point.platform_check import check_platform

SCRIPTS = ("search/run.py", "search/replay.py", "reports/run.py", "reports/predict.py")
ENTRY = ("search/entry_point/__init__.py", "search/entry_point/platform_check.py")


def refusal(capsys):
    with pytest.raises(SystemExit) as caught:
        check_platform()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13)])
def test_an_old_python_is_told(version, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", version)
    found = ".".join(map(str, version))
    assert f"error: Python 3.11 or newer is needed, and {sys.executable} is Python {found}: run " in refusal(capsys)


@pytest.mark.parametrize("platform", ["win32", "cygwin"])
def test_windows_is_refused_with_what_works_there(platform, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", platform)
    assert refusal(capsys).startswith("error: Windows is not supported: run it in WSL 2")


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("freebsd14", "freebsd14")])
def test_other_systems_are_untried(platform, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", platform)
    check_platform()
    assert capsys.readouterr().err == f"warning: it has been tried on Linux only, not on {name}\n"


def test_linux_hears_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "version_info", (3, 11))
    check_platform()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("path", [*SCRIPTS, "search/__init__.py", *ENTRY])
def test_an_old_python_can_read_what_tells_it(path):
    tree = ast.parse((ROOT / path).read_text(), feature_version=(3, 7))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    if path in SCRIPTS:
        names = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
        calls = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        assert names[:2] == ["pathlib", "search.entry_point.platform_check"]
        second = next(node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == names[2])
        assert calls[0].value.func.id == "check_platform"
        assert calls[0].lineno < second.lineno
