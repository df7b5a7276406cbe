"""Submits searches to a cluster as Ray jobs and shows them here. The jobs do not depend on this process."""

from __future__ import annotations

import functools
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search import ROOT
from search.cli.options.cluster_parser import without_address, without_drop_list
from search.cli.options.search_options import SearchOptions
from search.exit_status import INTERRUPTED
from search.formatting import clean, duration
from search.ledger.study_names import derived_name
from search.ray_cluster.jobs import OPTIONS, STUDY, Jobs
from search.views.events import EventReader
from search.views.safe_console import Terminal

PACKAGES = ("search", "trainables", "reports")
DROP_LIST = "drop_list.txt"
"""Name of the drop list among the files of a job."""
STOP_SECONDS = 600
"""Seconds that a stopped run has to finish its current epochs before it is killed, which loses only these epochs."""


def submit(options: SearchOptions, address: str, arguments: list[str]) -> int:
    """Submit the search, unless it is already running, and show it until it ends. Returns its exit code.

    Args:
        options: the parsed command line.
        address: address of the cluster's dashboard, http://host:port.
        arguments: the command line.

    Raises:
        ValueError: if the user must change something.
    """
    from trainables.data import DataSource, read_drop_list

    if options.drop_list is not None:
        read_drop_list(options.drop_list)  # so that a mistake in it is reported here, and not on the cluster
    console = Terminal()
    name, remark = options.name, None
    if name is None:
        name, remark = derived_name(DataSource(uri=options.data).name, "-systems" if options.systems else "", None)
    if remark is not None:
        console.print(remark, style="yellow", soft_wrap=True)
    jobs = Jobs(address)
    passed = without_address(arguments)
    if running := [job for job in jobs.of_study(name) if not job.status.is_terminal()]:
        job, theirs = running[-1].submission_id, running[-1].metadata[OPTIONS]
        if theirs != shlex.join(passed):
            raise ValueError(
                f"study {name!r} is already running there with other options ({theirs}): show it with --logs {name}, "
                f"or end it with --stop {name} before you continue it with these options, or give another --name"
            )
        console.print(f"study {name} is already running there; showing its output", style="yellow", markup=False)
    else:
        command = shlex.join([*without_drop_list(passed), "--name", name, "--view", "events"])
        if options.drop_list is not None:
            command += f' --drop-list "$ROOT/{DROP_LIST}"'
        with _packed(options.drop_list) as folder:
            job = jobs.submit(
                name,
                shlex.join(passed),
                # Ray deletes the unpacked folder after the job, so studies are kept in the home folder.
                f'ROOT="$PWD"; cd && COLUMNS={console.width} exec python "$ROOT/search/run.py" {command}',
                {"working_dir": folder, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}},
            )
        console.print(f"submitted as {job}; Ctrl-C leaves it running", markup=False)
    return _show(console, jobs, name, job)


@contextmanager
def _packed(drop_list: str | None) -> Iterator[str]:
    """Make a temporary folder with only the project's code and the drop list: no studies, no data, no environment."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=shutil.ignore_patterns("__pycache__"))
        if drop_list is not None:
            shutil.copyfile(drop_list, Path(folder) / DROP_LIST)
        yield folder


def run_study_command(options: SearchOptions, address: str) -> int:
    """Run `--status`, `--stop` or `--logs` for studies on a cluster. Returns the exit code.

    Raises:
        ValueError: if the cluster does not respond, or has no such study.
    """
    if options.rename or options.delete:
        raise ValueError(
            "--rename and --delete cannot be combined with --address http://...: run them on the machine that has the "
            "study's folder"
        )
    console = Terminal()
    jobs = Jobs(address)
    if options.stop:
        latest = jobs.latest(options.stop)
        if latest.status.is_terminal():
            raise ValueError(f"study {options.stop!r} is not running there: its last run is {latest.status.lower()}")
        known = len(jobs.said(latest.submission_id))
        jobs.stop(latest.submission_id)
        console.print(
            f"study {options.stop} ends after the current epochs; the same search command continues it", markup=False
        )
        code = _show(console, jobs, options.stop, latest.submission_id, known)
        return 0 if code == INTERRUPTED else code
    if options.logs:
        latest = jobs.latest(options.logs)
        return _show(Terminal(force_terminal=False), jobs, options.logs, latest.submission_id)
    if options.status is True:
        table = Table("study", "run", "state", "duration", "options")
        for job in jobs.all():
            took = (job.end_time / 1000 if job.end_time else time.time()) - (job.start_time or 0) / 1000
            state = job.status.lower()
            table.add_row(job.metadata[STUDY], job.submission_id, state, duration(took), job.metadata[OPTIONS])
        console.print(table)
        return 0
    assert options.status is not None
    latest = jobs.latest(options.status)
    with EventReader(Terminal(quiet=True)) as reader:
        for line in jobs.said(latest.submission_id):
            reader.read(line)
    console.print(f"study {options.status}: {latest.status.lower()} ({latest.submission_id})", markup=False)
    if reader.state.budget:
        console.print(reader.view.render(driven=not latest.status.is_terminal()))
    return 0


def _show(console: Console, jobs: Jobs, name: str, job: str, known: int = 0) -> int:
    """Show the output of a run until it ends, without its first `known` lines. Returns the run's exit code.

    Raises:
        ValueError: if the cluster no longer has the run.
    """
    said = 0
    tell = functools.partial(console.print, style="yellow", markup=False, soft_wrap=True)
    try:
        with EventReader(console) as reader:
            for said, line in enumerate(jobs.follow(job, tell), start=1):
                console.quiet = said <= known
                reader.read(line)
    except KeyboardInterrupt:
        again = f"python search/run.py --address {jobs.address}"
        console.print(f"\nthe study keeps running there: {again} --status {name}, or --logs, or --stop", markup=False)
        return INTERRUPTED
    if not said and (message := jobs.info(job).message):
        print(f"error: {clean(message)}", file=sys.stderr)
    return jobs.exit_code(job)
