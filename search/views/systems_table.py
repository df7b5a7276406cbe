"""Terminal tables of the systems of the two student reports."""

from __future__ import annotations

from rich.table import Table

from search.study.systems import REPORTS, SYSTEMS
from search.views.safe_console import Terminal


def show_systems() -> None:
    """Print one table per report: the rows of its own table, and below them the variants that it tried."""
    console = Terminal()
    for report, described in REPORTS.items():
        table = Table(title=f"{report}: {described}", title_justify="left", expand=True)
        table.add_column("name", no_wrap=True)
        table.add_column("system", ratio=1)
        table.add_column("published IoU %", ratio=1)
        systems = [system for system in SYSTEMS.values() if system.report == report]
        for system in sorted(systems, key=lambda system: system.varies is not None):
            title = system.title if system.varies is None else f"{system.varies}, but {system.title}"
            numbers = ", ".join(f"{value:.2f} {kind}" for kind, value in system.published.items())
            table.add_row(system.name, title, "; ".join(filter(None, (numbers, system.remark))))
        console.print(table)
    console.print("run some of them: python search/run.py --systems report-a,b-unet3 --seeds 3 --data FILE")
