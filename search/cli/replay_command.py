"""The replay command: models recorded learning curves, simulates many searches, and recommends search settings."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from pyarrow import csv
from rich.console import Console
from rich.progress import track
from rich.table import Table

from search.folders.places import Place, check_writable, errors_explained
from search.ledger.ledger import Ledger
from search.library_output import quiet_optuna
from search.simulation.curves import Curve, recorded, write_curves
from search.simulation.outcomes import Choice, Outcome
from search.simulation.simulator import Simulation, Trace, simulate
from search.simulation.surrogate import Quality, Surrogate
from search.storage.location import refuse_links
from search.study.settings import StudySettings
from search.views.safe_console import Terminal

ENOUGH_CURVES, ENOUGH_CORRELATION = 30, 0.5
"""Fewest recorded curves, and lowest rank correlation of the model, for a recommendation: below, the order of the
simulated searches says little about real ones."""


def run(options: argparse.Namespace) -> None:
    """Replay the studies, show the results and write them to disk.

    Raises:
        ValueError: if a study does not exist, they cannot be replayed together, or too few curves were recorded.
    """
    quiet_optuna()
    console = Terminal()
    settings, curves = recorded(options.studies)
    space, folder = settings.search_space(), options.output or options.studies[0] / "replay"
    surrogate = Surrogate(space, curves, max_epochs=settings.max_epochs, patience=settings.patience)
    if options.output is None:
        refuse_links(options.studies[0])
    with errors_explained(Place(folder, "give another folder with --output")):
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)
        write_curves(curves, space, folder / "curves.parquet", settings.chosen_metric)
        _replay(console, options, settings, curves, surrogate, folder)


def _replay(
    console: Console,
    options: argparse.Namespace,
    settings: StudySettings,
    curves: list[Curve],
    surrogate: Surrogate,
    folder: Path,
) -> None:
    spent = sum(len(curve.scores) for curve in curves)
    budget = options.epochs or spent
    console.print(
        f"{len(curves)} recorded learning curves, {spent} epochs; surrogate model, cross-validated over trials: "
        f"RMS error of {settings.chosen_metric.title} {surrogate.quality.error:.4f}, rank correlation of last epochs "
        f"{surrogate.quality.rank_correlation:.2f}",
        soft_wrap=True,
    )
    choices = _choices(options, settings)
    outcomes = _outcomes(console, options, settings, surrogate, choices, budget)
    target = statistics.median(outcome.final for outcome in outcomes)
    table = _table(outcomes, settings, target, budget, options)
    console.print(table)
    _write(outcomes, target, folder)
    _draw(outcomes, target, settings, folder)
    for line in (advice(outcomes, target, surrogate.quality, len(curves)), f"wrote {folder}"):
        console.print(line, markup=False, soft_wrap=True)


def advice(outcomes: list[Outcome], target: float, quality: Quality, curves: int) -> str:
    """Return the recommended settings, or why there are none and what would help.

    Args:
        outcomes: the simulated searches of all settings.
        target: the score that half of the searches of the recommended settings reach first.
        quality: of the model on which they were simulated.
        curves: number of recorded curves that the model knows.
    """
    lacks = []
    if curves < ENOUGH_CURVES:
        lacks.append(f"{curves} learning curves are recorded, fewer than {ENOUGH_CURVES}")
    if not quality.rank_correlation >= ENOUGH_CORRELATION:
        found = "unknown" if math.isnan(quality.rank_correlation) else f"{quality.rank_correlation:.2f}"
        lacks.append(f"the model's rank correlation is {found}, below {ENOUGH_CORRELATION:g}")
    if lacks:
        return (
            f"nothing is recommended, because {' and '.join(lacks)}: continue the study with a larger --budget, best "
            "with --sampler random and --grace-epochs as large as --max-epochs under another --name, or add studies of "
            "the same search space to the command"
        )
    reaching = [(epochs, -outcome.final, outcome) for outcome in outcomes if (epochs := outcome.epochs_to(target))]
    epochs, _, best = min(reaching, key=lambda found: found[:2])
    return f"recommended: {best.choice.options()} (half of its searches reach {target:.4f} within {epochs:.0f} epochs)"


def _choices(options: argparse.Namespace, settings: StudySettings) -> list[Choice]:
    grace = options.grace_epochs
    if grace is None:
        grace = [2**power for power in range(settings.max_epochs.bit_length()) if 2**power < settings.max_epochs / 2]
        grace.append(settings.max_epochs)
    found = {
        # Without stopping, the settings of ASHA make no difference.
        Choice(sampler, slots, epochs, factor, scheduler, rung_metric)
        if epochs < settings.max_epochs
        else Choice(sampler, slots, epochs, 2, "asha-stopping", "last")
        for sampler, slots, factor, scheduler, rung_metric in itertools.product(
            options.sampler, options.slots, options.reduction_factor, options.scheduler, options.rung_metric
        )
        for epochs in {min(epochs, settings.max_epochs) for epochs in grace}
    }
    return sorted(found)


_surrogate: Surrogate | None = None


def _start(surrogate: Surrogate) -> None:
    global _surrogate
    _surrogate = surrogate


def _search(settings: StudySettings, choice: Choice, budget: int) -> list[float]:
    """Return the best score so far after each epoch of one simulated search."""
    surrogate, trace = _surrogate, Trace()
    assert surrogate is not None
    simulation = Simulation(
        settings=settings,
        space=surrogate.space,
        sampler=choice.sampler,
        trials=budget,
        slots=choice.slots,
        epochs=budget,
    )
    simulate(simulation, lambda record: surrogate.reports(record.params, settings.seed), Ledger.in_memory(), [trace])
    missing = budget - len(trace.best)  # the search ends early if the space is exhausted
    return [*trace.best, *trace.best[-1:] * missing][:budget]


def _outcomes(
    console: Console,
    options: argparse.Namespace,
    settings: StudySettings,
    surrogate: Surrogate,
    choices: list[Choice],
    budget: int,
) -> list[Outcome]:
    # Processes are spawned, because forking a process with threads (of numpy and rich) may hang.
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_start, initargs=(surrogate,)) as pool:
        pending = {
            choice: [
                pool.submit(_search, choice.applied_to(settings, seed), choice, budget) for seed in range(options.seeds)
            ]
            for choice in choices
        }
        return [
            Outcome(choice=choice, best=np.array([future.result() for future in futures]))
            for choice, futures in track(pending.items(), "simulating", console=console, transient=True)
        ]


def _table(
    outcomes: list[Outcome], settings: StudySettings, target: float, budget: int, options: argparse.Namespace
) -> Table:
    table = Table(
        title=f"{options.seeds} simulated searches per row, {budget} epochs each; bold: stopping as in the study",
        title_justify="left",
    )
    table.add_column("settings")
    for column in ("median best score", f"epochs to {target:.4f}"):
        table.add_column(column, justify="right")
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.epochs_to(target) or np.inf, -outcome.final)):
        epochs, choice = outcome.epochs_to(target), outcome.choice
        own = choice.applied_to(settings, settings.seed) == settings
        table.add_row(
            choice.describe(settings.max_epochs),
            f"{outcome.final:.4f}",
            "-" if epochs is None else f"{epochs:.0f}",
            style="bold" if own else None,
        )
    return table


def _write(outcomes: list[Outcome], target: float, folder: Path) -> None:
    rows = [
        {
            **dataclasses.asdict(outcome.choice),
            "median best": outcome.final,
            "lower quartile": float(np.quantile(outcome.best[:, -1], 0.25)),
            "upper quartile": float(np.quantile(outcome.best[:, -1], 0.75)),
            f"median epochs to {target:.4f}": outcome.epochs_to(target),
        }
        for outcome in outcomes
    ]
    csv.write_csv(pa.Table.from_pylist(rows), folder / "replay.csv")


DRAWN = 6
"""Number of settings in the plot: those that reach the target first."""


def _draw(outcomes: list[Outcome], target: float, settings: StudySettings, folder: Path) -> None:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    quickest = sorted(outcomes, key=lambda outcome: (outcome.epochs_to(target) or np.inf, -outcome.final))[:DRAWN]
    for outcome in quickest:
        epochs = np.arange(1, outcome.best.shape[1] + 1)
        low, median, high = np.quantile(outcome.best, (0.25, 0.5, 0.75), axis=0)
        (line,) = axes.plot(epochs, median, label=outcome.choice.describe(settings.max_epochs))
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(target, color="grey", linewidth=0.8, linestyle=":")
    score = settings.chosen_metric.title
    axes.set(xlabel="epochs spent", ylabel=f"best {score} so far, median and quartiles", xscale="log")
    axes.legend(frameon=False)
    figure.savefig(folder / "replay.png", dpi=120)
