"""The search command: checks everything, then runs or continues the study. Heavy imports live behind `--help`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from search.audit import audit
from search.board import Board
from search.budgets import Budgets
from search.cluster_probe import probe
from search.cluster_size import check_fits, cluster_size, concurrent_trials, process_demand
from search.connection import start_ray
from search.costs import Meter, receipt
from search.events import EventWriter, TextEvents
from search.fair_share import FairShare
from search.housekeeping import KEPT, Housekeeping
from search.leaderboard import leaderboard
from search.ledger import Ledger
from search.live_view import LiveView
from search.options import refuse
from search.painter import Painter
from search.plan_view import show_plan, show_space
from search.profiles import Profile, choose_profile
from search.progress_state import ProgressState
from search.settings import StudySettings
from search.starting_points import starting_points
from search.stopping import Stopping
from search.study_lock import study_lock
from search.systems import MAX_EPOCHS, PATIENCE, SYSTEMS, runs_of
from search.tuner import SearchPlan, run_search
from search.wording import duration
from trainables.checkpoints import CheckpointStore, below
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.launchers import InlineLauncher, Launcher, WorkersLauncher
from trainables.trial import run_trial

LOCAL_STORAGE = "runs"
BUDGET = 50
"""Trials of a search that names no budget."""
CHECKPOINTS = "checkpoints"


def run(options: argparse.Namespace, data: PreparedData) -> int:
    """Run, continue, or with `--dry-run` only describe the study. Returns the exit code."""
    events = options.view == "events"
    console = Console(highlight=False, file=TextEvents(sys.stdout) if events else None, force_terminal=events or None)
    console.print(data.report.summary(), markup=False, soft_wrap=True)
    with ExitStack() as stack:
        stack.callback(ray.shutdown)
        try:
            plan = _plan(console, options, data)
            if options.dry_run:
                return 0
            stack.enter_context(study_lock(plan.folder))
            tell = functools.partial(console.print, style="yellow", markup=False, soft_wrap=True)
            ledger = Ledger.create(plan.folder, options.ledger, tell)
            stack.callback(ledger.close)
        except ValueError as error:
            return refuse(error)
        return _search(console, plan, options, data, ledger)


def _plan(console: Console, options: argparse.Namespace, data: PreparedData) -> SearchPlan:
    """Check and show all that can be known beforehand; starts Ray.

    Raises:
        ValueError: for whatever the user can put right; nothing has been written by then.
    """
    name = options.name or (f"{data.name}-systems" if options.systems else data.name)
    remote = "://" in options.storage
    folder = Path(LOCAL_STORAGE if remote else options.storage) / name
    if options.view == "events":  # seen from elsewhere
        folder = folder.absolute()
    checkpoints = below(options.storage, name, CHECKPOINTS) if remote else CHECKPOINTS
    check_storage(folder, checkpoints if remote else None)
    existing = Ledger.find(folder, options.ledger)
    joined = start_ray(dashboard=options.workers_per_trial > 1, address=options.address)
    size = cluster_size(joined=joined)
    profile = choose_profile(options.profile, size.total("GPU"))
    launcher = make_launcher(options, size.total("GPU"))
    if not joined or options.max_concurrent is None:  # else the user knows how far a cluster grows that has no room yet
        check_fits(launcher, size)
    fit = concurrent_trials(launcher, size)
    concurrent = (options.max_concurrent or fit) if joined else min(fit, options.max_concurrent or fit)
    if options.gpu_hours is not None and launcher.demand()["GPU"] == 0:
        raise ValueError("--gpu-hours: trials use no GPU here; --time-budget or --epochs-budget limit them")
    settings = make_settings(options, data, profile, checkpoints)
    space = settings.search_space()
    first: list[dict[str, Any]] = []
    if options.systems:
        check_systems(settings, data)
        first = runs_of(options.systems, seeds=options.seeds or 1, first_seed=options.seed)
    elif options.start_from is not None and (existing is None or not existing.first):
        first = starting_points(options.start_from, space, folder)
    plan = SearchPlan(
        folder=folder,
        settings=settings,
        space=space,
        sampler=options.sampler,
        first=tuple(first),
        budget=len(first) if options.systems else options.budget or BUDGET,
        max_failures=options.max_failures,
        audit=options.audit,
        launcher=launcher,
        concurrent=concurrent,
    )
    if existing is not None and existing.settings:
        plan.settings.check_same(existing.settings, name)
    show_plan(console, plan, options, profile, size, existing)
    if options.dry_run:
        show_space(console, plan.space)
    elif joined:
        source, checkpoints = data.source.anywhere, settings.checkpoint_root(folder)
        probe(console, demand=process_demand(launcher), checkpoints=checkpoints, data=source)
        slots = FairShare(name, wanted=concurrent, places=max(concurrent, fit))
        return dataclasses.replace(plan, slots=slots)
    return plan


def _search(console: Console, plan: SearchPlan, options: argparse.Namespace, data: PreparedData, ledger: Ledger) -> int:
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
            functools.partial(
                run_trial,
                source=data.source.anywhere,
                checkpoints=checkpoints,
                train_fraction=plan.settings.train_fraction,
            ),
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


def check_storage(folder: Path, uri: str | None) -> None:
    """Raises ValueError if the study could not be written; leaves nothing behind."""
    ancestor = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=ancestor):
            pass
    except OSError as error:
        raise ValueError(f"--storage: cannot write to {ancestor} ({error.strerror or error})") from error
    if uri is not None:
        try:
            store = CheckpointStore(uri, pauses=())
            store.save("probe", {})
            store.keep()
        except Exception as error:
            raise ValueError(f"--storage: cannot write to {uri} ({error})") from error


def make_launcher(options: argparse.Namespace, cluster_gpus: float) -> Launcher:
    gpus = options.gpus_per_trial if options.gpus_per_trial is not None else float(cluster_gpus > 0)
    if options.workers_per_trial == 1:
        return InlineLauncher(cpus=options.cpus_per_trial, gpus=gpus)
    return WorkersLauncher(workers=options.workers_per_trial, cpus=options.cpus_per_trial, gpus=gpus)


def make_settings(options: argparse.Namespace, data: PreparedData, profile: Profile, checkpoints: str) -> StudySettings:
    max_epochs = options.max_epochs or (MAX_EPOCHS if options.systems else profile.max_epochs)
    # Systems are compared at their own ends: ASHA stops none.
    grace_epochs = max_epochs if options.systems else options.grace_epochs or min(profile.grace_epochs, max_epochs)
    if grace_epochs > max_epochs:
        raise ValueError(f"--grace-epochs {grace_epochs} is above --max-epochs {max_epochs}: no trial could be stopped")
    return StudySettings(
        data=data.source.anywhere.uri,
        fingerprint=data.fingerprint,
        seed=options.seed,
        profile=profile.name,
        space="systems" if options.systems else options.space,
        overrides=dict(options.overrides or ()),
        systems=list(options.systems or ()),
        train_fraction=options.train_fraction,
        max_epochs=max_epochs,
        grace_epochs=grace_epochs,
        reduction_factor=options.reduction_factor,
        asha=options.asha,
        judge=options.judge,
        patience=options.patience or (PATIENCE if options.systems else profile.patience),
        grad_clip=options.grad_clip,
        ema_decay=options.ema_decay,
        precision=options.precision,
        workers_per_trial=options.workers_per_trial,
        checkpoints=checkpoints,
    )


def check_systems(settings: StudySettings, data: PreparedData) -> None:
    """Raises ValueError if an override makes a system impossible, or the data lacks what one needs."""
    for key in settings.overrides.keys() & settings.fixed_config().keys():
        raise ValueError(f"--set {key}: has an option of its own, --{key.partition('.')[2].replace('_', '-')}")
    for name in settings.systems:
        try:
            config = TrialConfig.from_flat({**SYSTEMS[name].config, **settings.fixed_config(), **settings.overrides})
        except (TypeError, ValueError) as error:
            given = ", ".join(f"{key}={value}" for key, value in settings.overrides.items())
            raise ValueError(f"--set {given}: system {name} cannot be made with it ({error})") from error
        if config.model.background != "none" and data.description.ignored_label is None:
            raise ValueError(f"system {name} has a network for the ignored label, but {data.name} has no such label")
