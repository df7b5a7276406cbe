"""The search command: checks everything, then runs or continues the study. Heavy imports live behind `--help`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import signal
import sys
from contextlib import ExitStack

import ray
from rich.console import Console

from search.audit import audit
from search.board import Board
from search.budgets import Budgets
from search.cluster_probe import probed_nodes
from search.cluster_size import ClusterSize, cluster_size, concurrent_trials
from search.connection import start_ray
from search.costs import Meter, receipt
from search.events import EventWriter, TextEvents
from search.fair_share import FairShare
from search.housekeeping import KEPT, Housekeeping
from search.leaderboard import leaderboard
from search.ledger import Ledger
from search.live_view import LiveView
from search.option_types import AUTO
from search.options import refuse
from search.painter import Painter
from search.planning import find_study, make_plan, placed, probed_placement
from search.progress_state import ProgressState
from search.stopping import Stopping
from search.study_lock import study_lock
from search.terminal import Terminal
from search.tuner import SearchPlan, run_search
from search.wording import duration
from trainables.data import PreparedData
from trainables.launchers import Loop
from trainables.trial import run_trial


def run(options: argparse.Namespace, data: PreparedData) -> int:
    """Run, continue, or with `--dry-run` only describe the study. Returns the exit code."""
    console = Terminal()
    if options.view == "events":  # with colours, and without what would move on a terminal
        console = Terminal(file=TextEvents(sys.stdout), color_system="standard")
    console.print(data.report.summary(), markup=False, soft_wrap=True)
    with ExitStack() as stack:
        stack.callback(ray.shutdown)
        try:
            study = find_study(options, data)
            joined = start_ray(dashboard=options.workers_per_trial.most > 1, address=options.address)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # until trials run; Ray's own prints a stack
            size = cluster_size(joined=joined)
            plan = make_plan(console, options, data, size, study)
            if options.dry_run:
                return 0
            stack.enter_context(study_lock(study.folder))
            checkpoints, source = plan.settings.checkpoint_root(study.folder), data.source.anywhere
            loop: Loop = functools.partial(
                run_trial,
                source=source,
                fingerprint=data.fingerprint,
                checkpoints=checkpoints,
                train_fraction=plan.settings.train_fraction,
            )
            if joined:
                check = stack.enter_context(probed_nodes(console, plan.launcher, checkpoints, source))
                loop = check.guard(loop)
            tell = functools.partial(console.print, style="yellow", markup=False, soft_wrap=True)
            ledger = Ledger.create(study.folder, options.ledger, tell)
            stack.callback(ledger.close)
            if options.gpus_per_trial == AUTO and ledger.placement is None:
                ledger.placement = found = probed_placement(console, plan, options, data)
                plan = placed(plan, options, data, size, found)
        except ValueError as error:
            return refuse(error)
        return _search(console, _shared(plan, size) if joined else plan, options, data, ledger, loop)


def _shared(plan: SearchPlan, size: ClusterSize) -> SearchPlan:
    """The plan on a cluster that other studies may use too."""
    places = max(plan.concurrent, concurrent_trials(plan.launcher, size))
    return dataclasses.replace(plan, slots=FairShare(plan.folder.name, wanted=plan.concurrent, places=places))


def _search(
    console: Console,
    plan: SearchPlan,
    options: argparse.Namespace,
    data: PreparedData,
    ledger: Ledger,
    loop: Loop,
) -> int:
    past = ledger.records()
    stopping, meter = Stopping(options.time_budget), Meter(plan.launcher.demand())
    state = ProgressState(budget=plan.budget, time_budget=options.time_budget, past=past)
    view: LiveView | EventWriter = LiveView(state, console, stopping)
    if options.view == "events":
        view = EventWriter(state, stopping, sys.stdout)
    checkpoints = plan.settings.checkpoint_root(plan.folder)
    scored = [data.description.class_names[label] for label in data.present_labels]
    board = Board(plan.folder, plan.space, scored, Painter(data, checkpoints, past))
    keeper = Housekeeping(checkpoints, past, None if plan.settings.systems else KEPT)
    budgets = Budgets(stopping, meter, past, epochs=options.epochs_budget, gpu_hours=options.gpu_hours)
    with view.shown():
        run_search(
            plan,
            ledger,
            loop,
            [state, view, board, keeper, budgets],
            stopping,
            meter,
        )
    records = ledger.records()
    console.print(leaderboard(records))
    console.print(receipt(records, plan.settings.max_epochs, options.price_per_hour))
    if (audited := audit(records, plan.settings)) is not None:
        console.print(audited.sentence(), markup=False)
    ended = sum(record.has_ended for record in records)
    console.print(f"{ended} of {plan.budget} trials in {plan.folder} after {duration(state.seconds)}", markup=False)
    console.print(f"compare trials:         tensorboard --logdir {plan.folder}", markup=False)
    console.print(f"report and submission:  python reports/run.py {plan.folder}", markup=False)
    if stopping.reason is not None and ended < plan.budget:
        console.print(f"not finished, {stopping.reason}", style="yellow", markup=False)
    return stopping.exit_code
