"""The search command: checks everything, then runs or continues the study. `--help` does not import this module."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import ray
from rich.console import Console

from search.checkpoints.retention import KEPT, CheckpointRetention
from search.checkpoints.root import Marker, check_root, claim, set_aside
from search.cli.options.option_types import AUTO
from search.cli.options.search_options import SearchOptions
from search.cli.planning import find_study, make_plan, placed, probed_placement
from search.cli.study_checks import check_same_study
from search.cli.terminal import terminal
from search.cli.then_report import begin_report
from search.exit_status import BROKEN, refuse
from search.formatting import duration
from search.interrupts import first_signal, raise_if_asked, raise_on_signals
from search.ledger.costs import final_training_seconds
from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.library_output import quiet_optuna
from search.locking.driver_claim import Holder, held
from search.locking.folder_lock import study_lock
from search.ray_cluster.capacity import cluster_size
from search.ray_cluster.fair_share import FairShare
from search.ray_cluster.node_check import NodeCheck, versions
from search.ray_cluster.node_probe import probed_nodes
from search.ray_cluster.processes import CLUSTER_PATIENCE, LOCAL_PATIENCE, control_server_watched
from search.ray_cluster.session import start_ray
from search.scheduling.expected_epochs import epochs_left
from search.scheduling.false_stops import audit
from search.tuning.limits.budgets import Budgets
from search.tuning.limits.first_failures import FirstFailures
from search.tuning.limits.time_for_report import ReportTime, alone_speedup
from search.tuning.meter import Meter
from search.tuning.run_end import CONTINUES, Stopping
from search.tuning.search_plan import SearchPlan
from search.tuning.tuner import run_search
from search.views.cost_table import receipt
from search.views.events import EventWriter
from search.views.in_background import InBackground
from search.views.leaderboard import leaderboard
from search.views.live_view import LiveView
from search.views.pictures.prediction_images import Painter
from search.views.progress import ProgressState
from search.views.tensorboard_log import TensorBoardLogger
from trainables.data import PreparedData
from trainables.launching.ray_private import dead_nodes_silenced
from trainables.messages import Loop
from trainables.training.trial import TrialTask

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Everything prepared for one run of a study that this driver holds."""

    plan: SearchPlan
    data: PreparedData
    ledger: Ledger
    loop: Loop
    holder: Holder
    marker: Marker
    checkpoints: str


def run(options: SearchOptions, data: PreparedData) -> int:
    """Run or continue the study. Returns the exit code."""
    quiet_optuna()
    console = terminal(options)
    tell = functools.partial(console.print, style="yellow", markup=False, soft_wrap=True)
    with ExitStack() as stack:
        stack.enter_context(dead_nodes_silenced())
        stack.callback(ray.shutdown)
        try:
            prepared = _prepare(stack, console, tell, options, data)
            raise_if_asked()
        except ValueError as error:
            return refuse(error)
        code = _search(console, tell, options, prepared)
        scored = any(record.score is not None for record in prepared.ledger.records())
    if code == 0 and options.then_report:
        if not scored:
            tell("no report: no trial has a score yet; the same command with more time continues the study")
            return BROKEN
        begin_report(prepared.plan.folder, options.report_until)
    return code


def _prepare(stack: ExitStack, console: Console, tell: Tell, options: SearchOptions, data: PreparedData) -> _Run:
    """Check everything, and hold the study until the stack is closed.

    Raises:
        ValueError: if the user must change something.
    """
    study = find_study(options, data)
    data = study.data
    console.print(data.report.summary(), markup=False, soft_wrap=True)
    if study.remark is not None:
        tell(study.remark)
    address = options.address or os.environ.get("RAY_ADDRESS")
    console.print("starting Ray on this machine" if address is None else f"joining the Ray cluster at {address}")
    joined = start_ray(dashboard=options.workers_per_trial.most > 1, address=options.address)
    raise_on_signals()  # until the trials run
    raise_if_asked()
    server, patience = ray.get_runtime_context().gcs_address, CLUSTER_PATIENCE if joined else LOCAL_PATIENCE
    stack.enter_context(control_server_watched(server, patience, functools.partial(_end_without_ray, console, tell)))
    size = cluster_size(joined=joined)
    plan = make_plan(console, options, size, study)
    checkpoints, source = plan.settings.checkpoint_root(study.folder), data.source.anywhere
    # The shared location is locked first, so that a driver that is refused there leaves nothing in the local folder.
    shared = checkpoints if "://" in checkpoints else str(study.folder)
    holder = stack.enter_context(held(shared, study.folder.name, tell))
    others = check_root(checkpoints, study.ledger)
    stack.enter_context(study_lock(study.folder))
    if others:
        set_aside(checkpoints, Ledger.find(study.folder, options.ledger), tell)
    check = NodeCheck(versions())
    if joined:
        check = stack.enter_context(probed_nodes(console, plan.launcher, checkpoints, source))
    ledger = Ledger.create(study.folder, options.ledger, tell)
    stack.callback(ledger.close)
    # Another driver may have run the study since the plan was made, so compare the settings again.
    check_same_study(ledger, plan.settings, plan.space, study.folder.name)
    marker = claim(checkpoints, ledger, study.folder)
    if options.gpus_per_trial == AUTO and ledger.placement is None:
        ledger.placement = probed_placement(console, plan, options, data)
    if ledger.placement is not None:
        plan = placed(plan, options, data, size, ledger.placement)
    task = TrialTask(
        source=source,
        fingerprint=data.fingerprint,
        checkpoints=checkpoints,
        train_fraction=plan.settings.train_fraction,
        metric=plan.settings.chosen_metric,
    )
    return _Run(
        plan=_shared(plan, options, tell) if joined else plan,
        data=data,
        ledger=ledger,
        loop=check.guard(task),
        holder=holder,
        marker=marker,
        checkpoints=checkpoints,
    )


def _end_without_ray(console: Console, tell: Tell) -> None:
    """End this process at once: everything is in the ledger, and calls that wait for Ray would never return."""
    number = first_signal()
    why = "Ray has ended (its control server, GCS, is gone)" if number is None else "interrupted"
    try:
        tell(f"not finished, {why}{CONTINUES}")
        console.show_cursor()
        console.file.flush()
    finally:  # also where the terminal is gone
        os._exit(BROKEN if number is None else 128 + number)


def _shared(plan: SearchPlan, options: SearchOptions, tell: Tell) -> SearchPlan:
    """Return the plan for a cluster that other studies may use at the same time, and that may grow and shrink."""
    size = functools.partial(cluster_size, joined=True)
    slots = FairShare(plan.folder.name, plan.launcher, size, wanted=options.max_concurrent, tell=tell)
    return dataclasses.replace(plan, slots=slots, concurrent=slots.claim.wanted)


def _search(console: Console, tell: Tell, options: SearchOptions, prepared: _Run) -> int:
    plan, data, ledger, checkpoints = prepared.plan, prepared.data, prepared.ledger, prepared.checkpoints
    past = ledger.records()
    stopping = Stopping(options.time_budget)
    meter = Meter(plan.launcher.demand(), past=past, queues=plan.launcher.queues)
    prepared.holder.when_lost(stopping.cannot_write)
    state = ProgressState(
        budget=plan.budget,
        time_budget=options.time_budget,
        past=past,
        expected_epochs=epochs_left(
            plan.settings, plan.budget, past, audit=plan.audit, epochs_budget=options.epochs_budget
        ),
        metric=plan.settings.chosen_metric,
    )
    view: LiveView | EventWriter = LiveView(state, console, stopping)
    if options.view == "events":
        view = EventWriter(state, stopping, sys.stdout)
    scored = [data.description.class_names[label] for label in data.present_labels]
    board = TensorBoardLogger(plan.folder, plan.space, scored, Painter(data, checkpoints, past), state.metric)
    begun_with = set(ledger.first) or set(range(len(plan.first)))
    kept = None if plan.settings.systems else KEPT
    keeper = CheckpointRetention(checkpoints, past, kept, prepared.marker, begun_with)
    budgets = Budgets(stopping, meter, past, epochs=options.epochs_budget, gpu_hours=options.gpu_hours)
    callbacks = [budgets, FirstFailures(stopping, past)]
    if options.report_until is not None:
        callbacks.append(_report_time(stopping, prepared, options.report_until))
    decorations = InBackground({"TensorBoard": board, "old checkpoints": keeper}, tell)
    with view.shown(), decorations:
        run_search(plan, ledger, prepared.loop, [state, view, decorations, *callbacks], stopping, meter)
    ledger.driven = False  # trials that have not ended are resumed by the next run
    records = ledger.records()
    if any(record.reports or record.has_ended for record in records) and not stopping.lost:
        _show_result(console, records, plan, state, options, data)
    ended = sum(record.has_ended for record in records)
    if stopping.reason is not None and ended < plan.budget:
        tell(f"not finished, {stopping.reason}")
    if stopping.exit_code == 0 and ended and all(record.state in ("failed", "running") for record in records):
        tell("no trial has completed; see the errors of the trials above")
        return BROKEN
    return stopping.exit_code


def _report_time(stopping: Stopping, prepared: _Run, until: float) -> ReportTime:
    settings = prepared.plan.settings
    return ReportTime(
        stopping,
        prepared.data,
        max_epochs=settings.max_epochs,
        grace_epochs=settings.grace_epochs,
        speedup=alone_speedup(prepared.plan.launcher.demand()),
        until=until,
    )


def _show_result(
    console: Console,
    records: list[TrialRecord],
    plan: SearchPlan,
    state: ProgressState,
    options: SearchOptions,
    data: PreparedData,
) -> None:
    console.print(leaderboard(records, width=console.width, metric=state.metric))
    console.print(receipt(records, plan.settings.max_epochs, options.price_per_hour))
    if (audited := audit(records, plan.settings)) is not None:
        console.print(audited.sentence(state.metric), markup=False)
    ended = sum(record.has_ended for record in records)
    console.print(f"{ended} of {plan.budget} trials in {plan.folder} after {duration(state.seconds)}", markup=False)
    console.print(f"compare trials:         tensorboard --logdir {plan.folder}", markup=False)
    if any(record.score is not None for record in records):
        takes = duration(final_training_seconds(records, data))
        hint = "" if options.then_report else f" (final training: about {takes})"
        console.print(
            f"report and submission:  python reports/run.py {plan.folder}{hint}", markup=False, soft_wrap=True
        )
