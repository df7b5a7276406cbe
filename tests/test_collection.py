"""`make test` needs nothing but the `test` extra: without the others, tests are skipped with a reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

from search import ROOT


@pytest.mark.slow
def test_nothing_fails_to_import_without_the_other_extras():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.made.only_test_extra",
        "--collect-only",
        "-q",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, "-m", "not long"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "no tests collected" not in done.stdout
    assert "tests/test_mutation.py" not in done.stdout  # it needs cosmic-ray, which is hidden
