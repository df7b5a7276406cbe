"""`--then-report`: a search followed by its report, both within one time budget."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from search import ROOT
from search.formatting import clean

SEARCH_PART = 0.4
"""Largest fraction of the time budget for the search; the rest is for training the best configuration at full length.

On a slow machine the search gets less, see `search/tuning/report_time.py`.
"""


def share_time(options: argparse.Namespace) -> None:
    """Reduce the time budget to the search's fraction, and store when the report must end."""
    options.report_until = None
    if options.then_report and options.time_budget is not None:
        options.report_until = time.time() + options.time_budget
        options.time_budget *= SEARCH_PART


def begin_report(folder: Path, options: argparse.Namespace) -> NoReturn:
    """Replace this process with the report command."""
    command = [sys.executable, str(ROOT / "reports" / "run.py"), str(folder)]
    if options.report_until is not None:
        command += ["--time-budget", f"{max(1.0, options.report_until - time.time()):.0f}s"]
    print(clean(f"report: {shlex.join(command[1:])}"), flush=True)
    sys.stderr.flush()
    os.execv(command[0], command)
