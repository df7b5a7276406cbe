"""Terminal tables of a probe's plan and of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from search.gpu_sharing.probe_plan import ProbeConfig, ProbePlan
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.profiling.footprint import footprint

if TYPE_CHECKING:
    from search.gpu_sharing.probing import Probed

GIB = 2**30


def show_probe_plan(console: Console, probe_plan: ProbePlan, data: PreparedData) -> None:
    """Print the configurations that a probe would measure, for `--dry-run`."""
    table = Table(title="to be probed on a GPU", title_justify="left")
    table.add_column("configuration")
    table.add_column("parameters", justify="right")
    for candidate in probe_plan.each():
        table.add_row(candidate.label, f"{_parameters(candidate, data):,}")
    console.print(table)


def show_probed(console: Console, probed: Probed, data: PreparedData) -> None:
    device = probed.device
    alone = Table(title=f"alone on {device.name}, {device.memory / GIB:.1f} GiB", title_justify="left")
    alone.add_column("configuration")
    for column in ("parameters", "micro-batches", "GiB", "images/s"):
        alone.add_column(column, justify="right")
    for candidate, measured in probed.alone:
        figures = ("-", "does not fit", "-")
        if measured is not None:
            figures = (
                str(measured.micro_batches),
                f"{measured.memory / GIB:.2f}",
                f"{measured.images_per_second:,.0f}",
            )
        alone.add_row(candidate.label, f"{_parameters(candidate, data):,}", *figures)
    console.print(alone)
    first, best = min(probed.rates), probed.placement.trials_per_gpu
    together = Table(title=f"concurrent trials: {probed.shared.label.partition(':')[0]}", title_justify="left")
    for column in ("trials per GPU", "total images/s", "relative to one"):
        together.add_column(column, justify="right")
    for count, rate in probed.rates.items():
        of_one = f"{rate / probed.rates[first]:.2f}"
        together.add_row(str(count), f"{rate:,.0f}", of_one, style="bold" if count == best else None)
    console.print(together)
    console.print(probed.placement.sentence(), markup=False, soft_wrap=True)
    if probed.placement.too_large is not None:
        console.print(
            "the search does not propose configurations as large as the smallest one that does not fit", style="yellow"
        )


def _parameters(candidate: ProbeConfig, data: PreparedData) -> int:
    return footprint(TrialConfig.from_flat(candidate.config), data).parameters
