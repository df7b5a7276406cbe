"""`--status`, `--stop`, `--rename` and `--delete` for studies in a local or shared folder."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search.checkpoints.study_folders import delete_study, disk_space, rename_study
from search.cli.options.search_options import SearchOptions
from search.folders.path_text import shown
from search.ledger.ledger import Ledger
from search.ledger.named_places import name_database
from search.library_output import quiet_optuna
from search.locking.folder_lock import describe, driver_of
from search.storage.location import study_folders
from search.study.settings import recorded_metric
from search.views.leaderboard import leaderboard
from search.views.safe_console import Terminal
from trainables.errors import listed


def run_study_command(options: SearchOptions) -> int:
    """Show, stop, rename or delete the study that the option names. Returns the exit code.

    Raises:
        ValueError: if there is no such study, or the command is not possible from this machine.
    """
    quiet_optuna()
    if options.logs:
        raise ValueError("--logs: only for studies that were submitted to a cluster: add --address http://...")
    if options.ledger is not None:
        name_database(options.ledger)
    console = Terminal()
    root = Path(options.local_storage)
    if options.stop:
        _stop(console, root / options.stop)
    elif options.rename:
        old, new = options.rename
        rename_study(root / old, root / new, console.print)
        console.print(f"study {new}: --name {new} continues it", markup=False)
    elif options.delete:
        return _delete(console, root / options.delete, ask=not options.yes)
    elif options.status is True:
        _list(console, root)
    else:
        assert options.status is not None
        _show(console, root / options.status)
    return 0


def _list(console: Console, root: Path) -> None:
    folders = study_folders(root)
    if not folders:
        raise ValueError(f"{root}: contains no studies; give their folder with --storage")
    table = Table("study", "trials", "best score", "disk", "run by")
    for folder in folders:
        try:
            ledger = Ledger.open(folder)
            records, metric = ledger.records(), recorded_metric(ledger.settings)
        except ValueError as error:  # an unreachable database must not hide the other studies
            table.add_row(shown(folder.name), "?", "?", disk_space(folder), str(error))
            continue
        unfinished = Counter(record.shown_state for record in records if not record.has_ended)
        states = ", ".join(f"{count} {state}" for state, count in unfinished.items())
        trials = f"{len(records)} ({states})" if states else str(len(records))
        best = max((record.score for record in records if record.score is not None), default=None)
        score = "-" if best is None else f"{best:.4f} {metric.title}"
        table.add_row(shown(folder.name), trials, score, disk_space(folder), _run_by(folder))
    console.print(table)


def _show(console: Console, folder: Path) -> None:
    ledger = Ledger.open(folder)
    records, metric = ledger.records(), recorded_metric(ledger.settings)
    counts = Counter(record.shown_state for record in records)
    trials = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    where = f"study {folder} ({disk_space(folder)}): run by {_run_by(folder)}"
    console.print(f"{where}; trials: {trials}", markup=False, soft_wrap=True)
    console.print(leaderboard(records, width=console.width, metric=metric))


def _stop(console: Console, folder: Path) -> None:
    driver = driver_of(folder) if folder.is_dir() else None
    if driver is None:
        Ledger.open(folder)  # raises if there is no such study; one that waits for its first node has no ledger yet
        raise ValueError(f"study {folder.name!r} is not running")
    if not driver:
        raise ValueError(f"study {folder.name!r} has just started: try again")
    if driver["host"] != socket.gethostname():
        raise ValueError(f"study {folder.name!r} is run by {describe(driver)}: stop it there")
    try:
        os.kill(driver["process"], signal.SIGTERM)  # background processes of a script ignore SIGINT
    except ProcessLookupError:
        raise ValueError(f"study {folder.name!r} is no longer running") from None
    except PermissionError:
        raise ValueError(f"study {folder.name!r} is run by {describe(driver)}: only that user can stop it") from None
    console.print(
        f"study {folder.name} ends after the current epochs; the same search command continues it", markup=False
    )


def _delete(console: Console, folder: Path, *, ask: bool) -> int:
    records, space = Ledger.open(folder).records(), disk_space(folder)
    if ask:
        if not sys.stdin.isatty():
            raise ValueError(
                f"study {folder.name!r}: --delete cannot ask for confirmation without a terminal: add --yes"
            )
        question = f"delete study {folder.name}, {len(records)} trials and {space} in {folder}? [y/N] "
        if console.input(question, markup=False).strip().lower() not in ("y", "yes"):
            console.print("nothing was deleted")
            return 0
    if left := delete_study(folder, console.print):
        console.print(f"kept, because not part of the study: {listed(left)}", markup=False, soft_wrap=True)
    console.print(f"study {folder.name} was deleted ({space})", markup=False)
    return 0


def _run_by(folder: Path) -> str:
    driver = driver_of(folder)
    return "nobody" if driver is None else describe(driver)
