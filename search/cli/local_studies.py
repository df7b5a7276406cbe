"""`--status` and `--stop` of studies in a folder of this machine, or of one that it shares."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search.ledger.ledger import Ledger
from search.ledger.named_places import name_database
from search.locking.lock import describe, driver_of
from search.storage.location import study_folders
from search.views.leaderboard import leaderboard
from search.views.terminal import Terminal


def run_study_command(options: argparse.Namespace) -> int:
    """Show or stop what `--status` or `--stop` names. Returns the exit code.

    Raises:
        ValueError: if there is no such study, or it cannot be stopped from here.
    """
    if options.logs:
        raise ValueError("--logs is for a study that was submitted to a cluster: it wants --address http://...")
    if options.ledger is not None:
        name_database(options.ledger)
    console = Terminal()
    root = Path("runs" if "://" in options.storage else options.storage)
    if options.stop:
        _stop(console, root / options.stop)
    elif options.status is True:
        _list(console, root)
    else:
        _show(console, root / options.status)
    return 0


def _list(console: Console, root: Path) -> None:
    folders = study_folders(root)
    if not folders:
        raise ValueError(f"{root}: no studies there")
    table = Table("study", "trials", "best mean IoU", "run by")
    for folder in folders:
        try:
            records = Ledger.open(folder).records()
        except ValueError as error:  # one database that does not answer hides no other study
            table.add_row(folder.name, "?", "?", str(error))
            continue
        best = max((record.score for record in records if record.score is not None), default=None)
        table.add_row(folder.name, str(len(records)), "-" if best is None else f"{best:.4f}", _run_by(folder))
    console.print(table)


def _show(console: Console, folder: Path) -> None:
    records = Ledger.open(folder).records()
    counts = Counter(record.state for record in records)
    trials = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    console.print(f"study {folder}: run by {_run_by(folder)}; trials: {trials}", markup=False, soft_wrap=True)
    console.print(leaderboard(records))


def _stop(console: Console, folder: Path) -> None:
    driver = driver_of(folder) if folder.is_dir() else None
    if driver is None:
        Ledger.open(folder)  # says so if there is no such study; one that waits for its first node has no ledger yet
        raise ValueError(f"study {folder.name!r}: nobody runs it")
    if not driver:
        raise ValueError(f"study {folder.name!r} has just begun: try again")
    if driver["host"] != socket.gethostname():
        raise ValueError(f"study {folder.name!r} is run by {describe(driver)}: stop it there")
    try:
        os.kill(driver["process"], signal.SIGTERM)  # what a script runs in the background ignores SIGINT
    except ProcessLookupError:
        raise ValueError(f"study {folder.name!r}: nobody runs it any more") from None
    except PermissionError:
        raise ValueError(f"study {folder.name!r} is run by {describe(driver)}: only that user can stop it") from None
    console.print(f"study {folder.name} ends its running epochs; the same command continues it", markup=False)


def _run_by(folder: Path) -> str:
    driver = driver_of(folder)
    return "nobody" if driver is None else describe(driver)
