"""`--then-report`: a search followed by its report, both within one time budget."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from search import ROOT
from search.cli.options.search_options import SearchOptions
from search.formatting import clean

SEARCH_PART = 0.4
"""Largest fraction of the time budget for the search; the rest is for training the best configuration at full length.

On a slow machine the search gets less, see `search/tuning/limits/time_for_report.py`.
"""


def share_time(options: SearchOptions) -> SearchOptions:
    """Reduce the time budget to the search's fraction, and set when the report must end."""
    if not options.then_report or options.time_budget is None:
        return options
    return dataclasses.replace(
        options, time_budget=SEARCH_PART * options.time_budget, report_until=time.time() + options.time_budget
    )


def begin_report(folder: Path, until: float | None) -> NoReturn:
    """Replace this process with the report command.

    Args:
        folder: folder of the study.
        until: when the report must be finished, in seconds since the epoch; None: no limit.
    """
    command = [sys.executable, str(ROOT / "reports" / "run.py"), str(folder)]
    if until is not None:
        command += ["--time-budget", f"{max(1.0, until - time.time()):.0f}s"]
    print(clean(f"report: {shlex.join(command[1:])}"), flush=True)
    sys.stderr.flush()
    os.execv(command[0], command)
