from __future__ import annotations

import logging
import os
import subprocess
import sys

import optuna
import pytest

from search import ROOT
from search.library_output import quiet_matplotlib, quiet_optuna


@pytest.fixture(autouse=True)
def _verbosity():
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


def test_studies_are_created_in_silence():
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger = logging.getLogger("optuna")
    logger.addHandler(handler)
    try:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        optuna.create_study()
        assert len(heard) == 1
        quiet_optuna()
        optuna.create_study()
        assert len(heard) == 1
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("script", "arguments"), [("search/run.py", ["--data", "nowhere.npz"]), ("reports/run.py", ["nowhere"])]
)
def test_commands_look_for_no_newer_versions_over_the_network(script, arguments, tmp_path):
    """Neither Albumentations nor Ray; a user's own setting stays."""
    code = (
        "import os, runpy, sys, atexit\n"
        f"sys.argv = [{script!r}, *{arguments!r}]\n"
        "atexit.register(lambda: print('update', os.environ.get('NO_ALBUMENTATIONS_UPDATE')))\n"
        f"runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
    )
    for given, expected in (({}, "1"), ({"NO_ALBUMENTATIONS_UPDATE": "0"}, "0")):
        environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment | given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines()[-1] == f"update {expected}", done.stderr
        assert done.returncode == 2


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    return os.environ


def test_matplotlib_keeps_its_files_in_the_cache_where_the_home_folder_cannot_be_written(environment, tmp_path):
    environment.update({"HOME": "/proc", "MARS_SEARCH_CACHE": str(tmp_path / "cache")})
    quiet_matplotlib()
    assert environment["MPLCONFIGDIR"] == str(tmp_path / "cache" / "matplotlib")
    assert (tmp_path / "cache" / "matplotlib").is_dir()


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "{}"},
        {"HOME": "/proc", "XDG_CONFIG_HOME": "{}"},
        {"HOME": "/proc", "MARS_SEARCH_CACHE": "/proc/cache"},  # Matplotlib then tells the variable
        {"HOME": "/proc", "MARS_SEARCH_CACHE": "{}", "MPLCONFIGDIR": "/proc/given"},
    ],
)
def test_otherwise_matplotlibs_folder_stays(variables, environment, tmp_path):
    environment.update({name: value.format(tmp_path) for name, value in variables.items()})
    quiet_matplotlib()
    assert environment.get("MPLCONFIGDIR") == variables.get("MPLCONFIGDIR")
