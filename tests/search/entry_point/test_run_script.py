from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from search.entry_point import run_script as script
from search.entry_point.run_script import run_script, usual_places
from search.interrupts import Interrupted
from trainables.data import DataSource, prepare
from trainables.data.sizes.npy_files import NpyWriter


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    """The streams and the signals of this process stay as they are."""
    for name in ("prepare_streams", "raise_on_signals", "quiet_matplotlib"):
        monkeypatch.setattr(script, name, lambda: None)
    monkeypatch.setattr(script, "lost_output", lambda: None)


@pytest.fixture
def run(capsys):
    """Runs a function, or one that raises an error, and returns its exit code and what was printed as errors."""

    def start(main):
        def fails():
            raise main

        with pytest.raises(SystemExit) as caught:
            run_script(fails if isinstance(main, BaseException) else main, if_interrupted="it continues")
        return caught.value.code, capsys.readouterr().err

    return start


def test_the_exit_code_is_the_functions(run):
    assert run(lambda: 0) == (0, "")
    assert run(lambda: 1) == (1, "")


def test_what_the_user_can_correct_is_one_line(run):
    assert run(ValueError("no such file")) == (2, "error: no such file\n")
    assert run(Interrupted(15)) == (143, "interrupted: it continues\n")
    assert run(ModuleNotFoundError("No module named 'x'")) == (
        2,
        f"error: {sys.executable}: No module named 'x'; install the project there: pip install -c constraints.txt .\n",
    )


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 // 0, if_interrupted="")


VARIABLES = ("MARS_SEARCH_CACHE", "RAY_TMPDIR", "TMPDIR", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HOME")


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_error_of_a_folder_names_the_variable_that_changes_it(variable, run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ["HOME"] = "/home/someone"
    os.environ[variable] = str(tmp_path)
    code, error = run(PermissionError(errno.EACCES, "Permission denied", f"{tmp_path}/new/file"))
    assert code == 2
    assert error.startswith(f"error: {tmp_path}/new/file: cannot be used (Permission denied); set {variable} to ")
    assert error.count("\n") == 1


def test_without_variables_the_home_folder_holds_what_they_would_set(monkeypatch):
    monkeypatch.setattr(os, "environ", {"HOME": "/home/someone"})
    changes = {str(place.folder): place.change for place in usual_places()}
    assert changes["/home/someone/.cache/mars-search"] == "set MARS_SEARCH_CACHE to another folder"
    assert changes[f"/tmp/mars-search-{os.getuid()}"] == "set RAY_TMPDIR to another folder"
    assert changes["/tmp"] == "set TMPDIR to another folder"
    assert changes["/home/someone"] == "set HOME to a folder that you may write to"


def test_without_a_home_folder_the_other_places_are_there(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(Path, "home", no_home)
    assert [place.change for place in usual_places()] == [
        "set RAY_TMPDIR to another folder",
        "set TMPDIR to another folder",
    ]


def test_other_errors_of_files_are_one_line_too(run):
    assert run(PermissionError(errno.EACCES, "Permission denied", "/opt/x")) == (
        1,
        "error: /opt/x: Permission denied\n",
    )
    assert run(OSError("the network is away")) == (1, "error: the network is away\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_a_disk_that_is_full_or_away_is_an_outage(number, run):
    refused = ValueError("cannot be written")
    refused.__cause__ = RuntimeError("while saving")
    refused.__cause__.__cause__ = OSError(number, os.strerror(number))
    assert run(refused) == (1, "error: cannot be written\n")
    code, error = run(OSError(number, os.strerror(number), "/tmp/x"))
    assert (code, "set TMPDIR to another folder" in error) == (1, True)


def test_lost_output_is_told_at_the_end(run, monkeypatch):
    monkeypatch.setattr(script, "lost_output", lambda: OSError(errno.ENOSPC, "No space left on device"))
    told = "error: a part of the output could not be written (No space left on device)\n"
    assert run(lambda: 0) == (1, told)
    assert run(lambda: 143) == (143, told)


def test_data_that_a_full_disk_cuts_short_is_an_outage(run, tmp_path, monkeypatch):
    def cut_short(writer, values):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(writer.path))

    monkeypatch.setattr(NpyWriter, "write", cut_short)
    code, error = run(lambda: prepare(DataSource(uri="sample"), cache=tmp_path))
    assert code == 1
    assert error == (
        f"error: {tmp_path}: prepared data cannot be kept there (No space left on device); "
        "set MARS_SEARCH_CACHE to another folder\n"
    )
