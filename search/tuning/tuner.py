"""Runs a study with Ray Tune, from the ledger's searcher and scheduler, a launcher and the recorder."""

from __future__ import annotations

import tempfile
from typing import Any

from ray import tune

from search.exit_status import BROKEN
from search.interrupts import ended_by_signals
from search.ledger.ledger import Ledger
from search.ray_cluster.capacity import process_demand
from search.sampling.proposer import Proposer
from search.scheduling.schedulers import Scheduler, scheduler_for
from search.study.space_record import described
from search.tuning.callbacks import Callback
from search.tuning.hang_watch import HangWatch
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.node_watch import CLUSTER_TIMEOUT, LOCAL_TIMEOUT, NodeWatch
from search.tuning.recorder import Recorder
from search.tuning.run_end import CONTINUES, Stopping
from search.tuning.search_plan import SearchPlan
from trainables.messages import Loop


def run_search(
    plan: SearchPlan,
    ledger: Ledger,
    loop: Loop,
    callbacks: list[Callback],
    stopping: Stopping,
    meter: Meter,
) -> None:
    """Run trials until the budget is spent, the space is exhausted, or the run is stopped. Ray must be running.

    Args:
        plan: what to run.
        ledger: the study's ledger; the trials in it count towards the budget.
        loop: the epoch loop that each trial runs.
        callbacks: called after every event.
        stopping: ends this run; afterwards it has the reason if the run ended before the budget was spent.
        meter: measures the cost of trials.
    """
    try:
        ledger.settings = plan.settings.to_dict()
        if not ledger.space and not plan.settings.systems:  # the settings already list the systems
            ledger.space = described(plan.space)
        ledger.enqueue(plan.first)
    except OSError as error:
        stopping.cannot_write(error)
        return
    proposer = Proposer(ledger, plan.space, plan.settings, sampler=plan.sampler, fits=plan.fits)
    scheduler = scheduler_for(ledger, plan.settings, audit=plan.audit)
    searcher = LedgerSearcher(ledger, proposer, scheduler, budget=plan.budget, stopping=stopping, slots=plan.slots)
    hangs = HangWatch(ledger, plan.hang_timeout)
    recorder = Recorder(
        ledger, searcher, scheduler, stopping, meter, callbacks, max_failures=plan.max_failures, hangs=hangs
    )
    recorder.settle()
    if searcher.remaining > 0 or scheduler.promotable:
        _run(plan, loop, searcher, scheduler, recorder, stopping)
    recorder.end_waiting()
    if searcher.exhausted:
        stopping.stop("the space has no configuration left to try", 0)


def _run(
    plan: SearchPlan,
    loop: Loop,
    searcher: LedgerSearcher,
    scheduler: Scheduler,
    recorder: Recorder,
    stopping: Stopping,
) -> None:
    """Let Ray Tune run trials until the searcher has none left, or the run is stopped."""
    if stopping.over:
        return
    timeout = plan.node_timeout or (CLUSTER_TIMEOUT if plan.joined else LOCAL_TIMEOUT)
    nodes = NodeWatch(stopping, process_demand(plan.launcher), timeout, local=not plan.joined)

    def interrupt(exit_code: int) -> None:
        stopping.stop(f"interrupted{CONTINUES}", exit_code)

    callbacks: list[Any] = [nodes, recorder.hangs, recorder]
    try:
        # Tune saves snapshots and unpickles the newest one that it finds. A study's folder may come from someone else
        # and contain a snapshot that runs their code, so Tune gets a new folder that only this user can access.
        scratch = tempfile.TemporaryDirectory(prefix="mars-search-", ignore_cleanup_errors=True)
        with ended_by_signals(interrupt), scratch as folder:
            _tuner(plan, loop, searcher, scheduler, callbacks, stopping, folder).fit()
    except Exception as error:
        if isinstance(error, OSError):
            stopping.cannot_write(error)  # Tune could not write its own state
        elif stopping.exit_code != BROKEN:  # otherwise Tune failed to read back what it could not write
            raise


def _tuner(
    plan: SearchPlan,
    loop: Loop,
    searcher: LedgerSearcher,
    scheduler: Scheduler,
    callbacks: list[Any],
    stopping: Stopping,
    folder: str,
) -> tune.Tuner:
    return tune.Tuner(
        plan.launcher.trainable(loop, str(plan.folder.resolve())),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,  # the searcher decides when it is finished
            max_concurrent_trials=plan.concurrent,
            reuse_actors=plan.launcher.reuse_actors,
            trial_dirname_creator=_trial_folder,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=folder,
            callbacks=callbacks,
            stop=stopping,
            # A failed trial resumes in the same way as an interrupted one: the searcher suggests it again.
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )


def _trial_folder(trial: Any) -> str:
    return f"{trial.config['number']:04d}-{trial.trial_id}"
