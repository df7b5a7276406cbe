"""A search that runs on a cluster as a Ray job, and is seen from here. Closing this end does not touch it."""

from __future__ import annotations

import argparse
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
from search.cli.cluster_options import without_address
from search.exit_status import INTERRUPTED
from search.formatting import clean, duration
from search.ledger.study_names import derived_name
from search.ray_cluster.jobs import OPTIONS, STUDY, Jobs
from search.views.events import EventReader
from search.views.terminal import Terminal

PACKAGES = ("search", "trainables", "reports")
STOP_SECONDS = 600
"""A run that is to stop has so long to end its running epochs; then it is killed, which loses these epochs only."""


def submit(options: argparse.Namespace, address: str, arguments: list[str]) -> int:
    """Start the search there, or find it running, and show it until it ends. Returns its exit code.

    Args:
        options: of the command line.
        address: of the cluster's dashboard.
        arguments: the command line itself.

    Raises:
        ValueError: for whatever the user can put right.
    """
    from trainables.data import DataSource

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
                f"study {name!r} runs there with other options ({theirs}): --logs {name} shows it; --stop {name} ends "
                "it, and then other options continue it; or give another --name"
            )
        console.print(f"study {name} runs there already: here it is", style="yellow", markup=False)
    else:
        command = shlex.join([*passed, "--name", name, "--view", "events"])
        with _packed() as folder:
            job = jobs.submit(
                name,
                shlex.join(passed),
                # The folder is unpacked into a place that goes with the job: studies are kept in the home folder.
                f'ROOT="$PWD"; cd && COLUMNS={console.width} exec python "$ROOT/search/run.py" {command}',
                {"working_dir": folder, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}},
            )
        console.print(f"submitted as {job}; Ctrl-C leaves it running", markup=False)
    return _show(console, jobs, name, job)


@contextmanager
def _packed() -> Iterator[str]:
    """A folder with the project's code and nothing else: no studies, no data, no environment."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


def run_study_command(options: argparse.Namespace, address: str) -> int:
    """`--status`, `--stop` or `--logs` of studies on a cluster. Returns the exit code.

    Raises:
        ValueError: if the cluster does not answer, or has no such study.
    """
    if options.rename or options.delete:
        raise ValueError("--rename and --delete are for studies in a folder: run them on a machine that has it")
    console = Terminal()
    jobs = Jobs(address)
    if options.stop:
        latest = jobs.latest(options.stop)
        if latest.status.is_terminal():
            raise ValueError(f"study {options.stop!r} does not run there: its last run is {latest.status.lower()}")
        known = len(jobs.said(latest.submission_id))
        jobs.stop(latest.submission_id)
        console.print(f"study {options.stop} ends its running epochs; the same command continues it", markup=False)
        code = _show(console, jobs, options.stop, latest.submission_id, known)
        return 0 if code == INTERRUPTED else code
    if options.logs:
        latest = jobs.latest(options.logs)
        return _show(Terminal(force_terminal=False), jobs, options.logs, latest.submission_id)
    if options.status is True:
        table = Table("study", "run", "state", "took", "options")
        for job in jobs.all():
            took = (job.end_time / 1000 if job.end_time else time.time()) - (job.start_time or 0) / 1000
            state = job.status.lower()
            table.add_row(job.metadata[STUDY], job.submission_id, state, duration(took), job.metadata[OPTIONS])
        console.print(table)
        return 0
    latest = jobs.latest(options.status)
    with EventReader(Terminal(quiet=True)) as reader:
        for line in jobs.said(latest.submission_id):
            reader.read(line)
    console.print(f"study {options.status}: {latest.status.lower()} ({latest.submission_id})", markup=False)
    if reader.state.budget:
        console.print(reader.view.render())
    return 0


def _show(console: Console, jobs: Jobs, name: str, job: str, known: int = 0) -> int:
    """Show what a run says until it ends, but for its first `known` lines. Returns its exit code.

    Raises:
        ValueError: if the cluster knows the run no more.
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
        console.print(f"\nit continues there: {again} --status {name}, or --logs, or --stop", markup=False)
        return INTERRUPTED
    if not said and (message := jobs.info(job).message):
        print(f"error: {clean(message)}", file=sys.stderr)
    return jobs.exit_code(job)
