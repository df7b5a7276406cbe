"""Terminal table of a study's cost."""

from __future__ import annotations

from rich.table import Table

from search.formatting import duration
from search.ledger.costs import PARTS, device_seconds, saved_epochs, seconds_of
from search.ledger.records import TrialRecord


def receipt(records: list[TrialRecord], max_epochs: int, price_per_hour: float | None) -> Table:
    """Return the study's cost as a terminal table.

    Args:
        records: all trials of the study.
        max_epochs: maximum number of epochs of a trial.
        price_per_hour: price of one GPU-hour, or of one CPU-hour if trials use no GPU; None: no row for the price.
    """
    parts = {part: sum(seconds_of(record)[part] for record in records) for part in PARTS}
    held = {device: sum(device_seconds(record)[device] for record in records) / 3600 for device in ("CPU", "GPU")}
    device = "GPU" if held["GPU"] else "CPU"
    total = sum(parts.values())
    if not parts["queueing"]:
        del parts["queueing"]
    table = Table(title="cost of the study, all runs", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    for part, seconds in parts.items():
        table.add_row(part, duration(seconds), f"{seconds / total:.1%}" if total else "")
    table.add_row("all trials", duration(total), f"{held[device]:.2f} {device}-hours", end_section=True)
    epochs, spared = saved_epochs(records, max_epochs)
    stopped = sum(record.state == "pruned" for record in records)
    table.add_row(f"saved by stopping {stopped} trials early", duration(spared), f"{epochs} epochs")
    if price_per_hour is not None:
        table.add_row("price", "", f"{held[device] * price_per_hour:.2f}")
    return table
