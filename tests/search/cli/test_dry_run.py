"""A dry run shows the plan of a search, and starts and writes nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from search.cli import dry_run
from search.cli.options.search_parser import parse
from search.ray_cluster import capacity
from trainables.data import DataSource, prepare

PROGRAM = """
import sys
from search.cli import dry_run
from search.cli.options.search_parser import parse
from trainables.data import DataSource, prepare
code = dry_run.run(parse(["--name", "study", "--dry-run"]), prepare(DataSource(uri="sample")))
assert not {"ray", "torchmetrics", "matplotlib"} & set(sys.modules), sorted(sys.modules)
sys.exit(code)
"""


@pytest.fixture
def data():
    return prepare(DataSource(uri="sample"))


@pytest.mark.slow
def test_it_loads_and_starts_no_ray_and_writes_nothing(tmp_path):
    prepare(DataSource(uri="sample"))
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "50 trials" in done.stdout
    assert "model.width" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_plans_for_what_ray_would_find_on_this_machine(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(capacity, "usable_cpus", lambda: 6)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert dry_run.run(parse(["--name", "study", "--profile", "gpu", "--dry-run"]), data) == 0
    assert "6 CPUs and 3 GPUs; 1 CPUs and 1 GPUs per trial; 3 concurrent trials" in capsys.readouterr().out


def test_a_place_where_ray_could_not_start_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "missing" / ("x" * 120)))
    with pytest.raises(ValueError, match="RAY_TMPDIR"):
        dry_run.run(parse(["--name", "study", "--dry-run"]), data)


def test_with_the_events_view_each_line_is_an_event(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dry_run.run(parse(["--name", "study", "--view", "events", "--dry-run"]), data) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    assert any("50 trials" in line.get("text", "") for line in lines)
