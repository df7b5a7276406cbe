"""Each command says what it does before it imports what takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from search.first_line import announce

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("matplotlib", "numpy", "optuna", "pyarrow", "ray", "rich", "scipy", "sklearn", "sqlalchemy", "torch")
UP_TO_THE_FIRST_LINE = """
import builtins, json, os, runpy, sys

def print_first(*text, **options):
    found = {"line": " ".join(text), "flush": options.get("flush"), "loaded": sorted(sys.modules)}
    os.write(1, json.dumps(found).encode())
    os._exit(0)

builtins.print = print_first
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("search/run.py", "reading the data: sample"),
        ("search/run.py --data my.npz --dry-run", "reading the data: my.npz"),
        ("search/run.py --systems a-ce", "reading the data: sample"),
        ("search/run.py --view events", '{"event": "text", "text": "reading the data: sample\\n"}'),
        ("search/run.py --status", "looking for the studies in runs"),
        ("search/run.py --status one --storage all", "looking for study one in all"),
        ("search/run.py --status one --storage s3://all", "looking for study one in runs"),
        ("search/run.py --stop one", "looking for study one in runs"),
        ("search/run.py --delete one --yes", "looking for study one in runs"),
        ("search/run.py --rename one two", "looking for study one in runs"),
        ("search/run.py --status --address http://h:1", "asking the cluster at http://h:1"),
        ("search/run.py --logs one --address http://h:1", "asking the cluster at http://h:1"),
        ("search/run.py --address http://h:1", "asking the cluster at http://h:1"),
        ("search/replay.py runs/one runs/two", "reading the learning curves of runs/one, runs/two"),
        ("reports/run.py runs/one", "reading the study in runs/one"),
        ("reports/predict.py runs/one a.png -o out", "loading the model of runs/one"),
    ],
)
def test_the_first_line_comes_before_the_imports_that_take_seconds(command, line, tmp_path):
    script, *options = command.split()
    done = subprocess.run(
        [sys.executable, "-c", UP_TO_THE_FIRST_LINE, str(ROOT / script), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["line"] == line
    assert found["flush"]
    assert not set(HEAVY) & set(found["loaded"])


def test_what_a_terminal_would_interpret_is_not_printed(capsys):
    announce("reading \x1b[2Jx")
    assert "\x1b" not in capsys.readouterr().out
