from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from search.cli.options.option_types import class_names
from search.cli.options.search_parser import parse
from tests.processes.scripts import HANGS_AFTER

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "argument --budget: '0' is not a whole number of at least 1"),
        (["--budget", "2.5"], "'2.5' is not a whole number"),
        (["--sampler", "magic"], "invalid choice: 'magic' (choose from"),
        (["--time-budget", "soon"], "'soon' is not a duration such as 90s, 30m, 1h30m, 2d or 2:00:00"),
        *((["--time-budget", text], "is not a duration") for text in ("0", "", "h", "1h30", "2:00", "1:60:00", "0m")),
        *((["--seed", text], "from 0 to 4294967295") for text in ("-1", "1.5", "4294967296", "18446744073709551616")),
        (["--cpus-per-trial", "0"], "'0' is not a number above 0"),
        (["--cpus-per-trial", "nan"], "'nan' is not a number above 0"),
        (["--gpus-per-trial", "-1"], "'-1' is not a number of at least 0"),
        (["--gpus-per-trial", "all"], "'all' is not a number of at least 0"),
        (["--ema-decay", "1"], "must be below 1"),
        (["--reduction-factor", "1"], "whole number of at least 2"),
        (["--name", "../up"], "a name consists of letters"),
        (["--name", ""], "a name consists of letters"),
        (["--workers-per-trial", "0"], "'0' is neither a whole number N of at least 1 nor MIN:MAX"),
        (["--workers-per-trial", "3:2"], "1 <= MIN <= MAX"),
        (["--workers-per-trial", "0:2"], "1 <= MIN <= MAX"),
        (["--workers-per-trial", "2:"], "'2:' is neither"),
        (["--bugdet", "3"], "unrecognized arguments: --bugdet"),
    ],
)
def test_options_that_make_no_sense_end_with_their_rule(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5m", 90),
        ("2h", 7200),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1d12h", 129600),
        ("2m5s", 125),
        ("2:00:00", 7200),
        ("0:01:30", 90),
        ("1-12:00:00", 129600),
    ],
)
def test_durations(text, seconds):
    assert parse(["--time-budget", text]).time_budget == seconds


def test_a_tilde_that_the_shell_left_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert parse(["--data=~/mars.npz"]).data == "/home/ada/mars.npz"
    assert parse(["--seed", "4294967295"]).seed == 4294967295


@pytest.mark.parametrize(("text", "expected"), [("1", (1, 1)), ("3", (3, 3)), ("2:8", (2, 8)), ("2:2", (2, 2))])
def test_workers_of_a_trial(text, expected):
    found = parse(["--workers-per-trial", text]).workers_per_trial
    assert (found.least, found.most) == expected


def test_fractions_of_a_gpu():
    assert parse(["--gpus-per-trial", "0.25"]).gpus_per_trial == 0.25
    assert parse(["--gpus-per-trial", "auto"]).gpus_per_trial == "auto"


def test_help_needs_no_heavy_import():
    code = (
        "import sys; sys.argv = ['run.py', '--help']; sys.path.insert(0, 'search')\n"
        "import runpy\n"
        "try: runpy.run_path('search/run.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'optuna', 'numpy', 'pyarrow', 'rich', 'albumentations'} & set(sys.modules)\n"
        "print('heavy:', heavy, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANGS_AFTER)
    assert "loss.class_weight_exponent" in done.stdout
    assert "heavy: set()" in done.stderr


@pytest.mark.parametrize("text", ["a\nb", "x" * 200_000, '"', ","])
def test_what_is_no_list_of_class_names_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a list of class names, such as soil,sand$"):
        class_names(text)
