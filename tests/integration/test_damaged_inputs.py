"""Damaged journals and data files through the real commands: each ends with 0 or 2, and without a traceback.

DAMAGED_FILES=50 tries so many of each kind.
"""

from __future__ import annotations

import os
import random

import pytest

from search.storage.location import FILE
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.damage import damaged_journal
from tests.made.damaged_journals import whole_journal
from tests.made.damaged_npz import damaged_npz

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]
COUNT = int(os.environ.get("DAMAGED_FILES", "5"))
SEEDS = range(20_000, 20_000 + COUNT)
"""Others than those that are read in process."""


def check(done, seed):
    assert done.returncode in (0, 2), f"seed {seed}: {done.returncode} {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr, f"seed {seed}: {done.stderr}"
    assert (done.returncode == 2) == ("error: " in done.stderr), f"seed {seed}: {done.stderr}"


def test_whoever_shows_reports_or_begins_with_a_damaged_study(command, tmp_path, data_file):
    lines = whole_journal(tmp_path / "runs" / "study", unet_space(PROFILES["cpu"]))
    whole = command("search/run.py", "--status", "study")
    assert whole.returncode == 0, whole.stderr
    refused = 0
    for seed in SEEDS:
        (tmp_path / "runs" / "study" / FILE).write_bytes(damaged_journal(lines, random.Random(seed)))
        shown = command("search/run.py", "--status", "study")
        reported = command("reports/run.py", "runs/study", "--data", data_file, "--no-onnx")
        for done in (shown, reported, command("search/run.py", "--status")):
            check(done, seed)
        refused += shown.returncode == 2
    assert refused > 0


def test_whoever_searches_in_a_damaged_data_file(command, tmp_path):
    refused = 0
    for seed in SEEDS:
        (tmp_path / "x.npz").write_bytes(damaged_npz(random.Random(seed)))
        done = command("search/run.py", "--data", "x.npz", "--dry-run")
        check(done, seed)
        refused += done.returncode == 2
    assert refused > COUNT / 4
