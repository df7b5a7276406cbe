"""The search command: checks everything, then runs or continues the study. Heavy imports live behind `--help`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from search.audit import audit
from search.board import Board
from search.budgets import Budgets
from search.corners import corners
from search.costs import Meter, receipt
from search.housekeeping import KEPT, Housekeeping
from search.leaderboard import leaderboard
from search.ledger import FILE, Ledger
from search.live_view import LiveView
from search.option_types import AUTO
from search.options import refuse
from search.painter import Painter
from search.placement import Placement
from search.placement_view import show_corners, show_probed
from search.plan_view import show_plan, show_space
from search.probing import probe
from search.profiles import Profile, choose_profile
from search.progress_state import ProgressState
from search.settings import StudySettings
from search.starting_points import starting_points
from search.stopping import Stopping
from search.study_lock import study_lock
from search.systems import MAX_EPOCHS, PATIENCE, SYSTEMS, runs_of
from search.tuner import SearchPlan, run_search, start_ray
from search.wording import duration
from trainables.checkpoints import CheckpointStore, below
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.footprint import footprint
from trainables.launchers import InlineLauncher, Launcher, WorkersLauncher, concurrent_trials
from trainables.trial import run_trial

LOCAL_STORAGE = "runs"
BUDGET = 50
"""Trials of a search that names no budget."""
CHECKPOINTS = "checkpoints"


def run(options: argparse.Namespace, data: PreparedData) -> int:
    """Run, continue, or with `--dry-run` only describe the study. Returns the exit code."""
    console = Console(highlight=False)
    console.print(data.report.summary(), markup=False, soft_wrap=True)
    with ExitStack() as stack:
        stack.callback(ray.shutdown)
        try:
            plan = _plan(console, options, data)
            if options.dry_run:
                return 0
            stack.enter_context(study_lock(plan.folder))
            ledger = Ledger.create(plan.folder)
            ledger.settings = dataclasses.asdict(plan.settings)
            if options.gpus_per_trial == AUTO and ledger.placement is None:
                ledger.placement = found = _probe(console, plan, options, data)
                plan = _placed(plan, options, data, found)
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
    checkpoints = below(options.storage, name, CHECKPOINTS) if remote else CHECKPOINTS
    check_storage(folder, checkpoints if remote else None)
    start_ray(dashboard=options.workers_per_trial > 1)
    resources = ray.cluster_resources()
    profile = choose_profile(options.profile, resources.get("GPU", 0))
    launcher = make_launcher(options, resources.get("GPU", 0))
    if options.gpu_hours is not None and launcher.demand()["GPU"] == 0:
        raise ValueError("--gpu-hours: trials use no GPU here; --time-budget or --epochs-budget limit them")
    settings = make_settings(options, data, profile, checkpoints)
    space = settings.search_space()
    existing = Ledger.open(folder) if (folder / FILE).exists() else None
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
        concurrent=side_by_side(launcher, options),
    )
    if existing is not None and existing.settings:
        plan.settings.check_same(existing.settings, name)
    placement = existing.placement if existing else None
    if placement is not None:
        plan = _placed(plan, options, data, placement)
    show_plan(console, plan, options, profile, resources, existing)
    if options.dry_run:
        show_space(console, plan.space)
        if options.gpus_per_trial == AUTO and placement is None:
            show_corners(console, corners(settings, data), data)
    return plan


def _probe(console: Console, plan: SearchPlan, options: argparse.Namespace, data: PreparedData) -> Placement:
    """Find out how the study's trials are to share GPUs, and show it. Raises ValueError if none fits."""
    chosen = corners(plan.settings, data)
    console.print(f"probing one GPU with {len(chosen.each())} configurations, from the smallest to the largest")
    with console.status("waiting for a GPU") as status:
        probed = probe(chosen, data, cpus=options.cpus_per_trial, tell=lambda what: status.update(f"probing {what}"))
    show_probed(console, probed, data)
    return probed.placement


def _placed(plan: SearchPlan, options: argparse.Namespace, data: PreparedData, placement: Placement) -> SearchPlan:
    """The plan with what a probe found; a number of GPUs on the command line counts more."""

    def fits(config: dict[str, Any]) -> bool:
        too_large = placement.too_large
        return too_large is None or footprint(TrialConfig.from_flat(config), data).bytes() < too_large

    launcher = plan.launcher
    if options.gpus_per_trial == AUTO:
        launcher = InlineLauncher(cpus=options.cpus_per_trial, gpus=placement.gpus)
    return dataclasses.replace(plan, launcher=launcher, concurrent=side_by_side(launcher, options), fits=fits)


def _search(console: Console, plan: SearchPlan, options: argparse.Namespace, data: PreparedData, ledger: Ledger) -> int:
    past = ledger.records()
    stopping, meter = Stopping(options.time_budget), Meter(plan.launcher.demand())
    state = ProgressState(budget=plan.budget, time_budget=options.time_budget, past=past)
    view = LiveView(state, console, stopping)
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
                # Trials run in folders of their own.
                source=dataclasses.replace(data.source, uri=data.source.absolute_uri),
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


def side_by_side(launcher: Launcher, options: argparse.Namespace) -> int:
    """Trials at a time. Raises ValueError if not even one fits."""
    concurrent = concurrent_trials(launcher, ray.cluster_resources())
    return min(concurrent, options.max_concurrent or concurrent)


def make_launcher(options: argparse.Namespace, cluster_gpus: float) -> Launcher:
    """The launcher that the options name; with `auto` a trial has a whole GPU until one was probed."""
    if options.gpus_per_trial == AUTO and cluster_gpus == 0:
        raise ValueError("--gpus-per-trial auto: the cluster has no GPU that trials could share")
    given = None if options.gpus_per_trial == AUTO else options.gpus_per_trial
    gpus = given if given is not None else float(cluster_gpus > 0)
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
        data=data.source.absolute_uri,
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
