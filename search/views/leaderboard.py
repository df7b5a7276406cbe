"""Terminal table of the best trials."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from search.formatting import config_line
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord


def leaderboard(records: list[TrialRecord], top: int = 10) -> Table:
    """Return a terminal table of the best trials, ranked by score."""
    counts = Counter(record.shown_state for record in records)
    caption = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table(
        title="best trials (mean IoU on the validation part)", caption=caption, title_justify="left", expand=True
    )
    for column in ("rank", "trial", "mean IoU", "best epoch", "epochs"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("configuration", ratio=1, no_wrap=True, overflow="ellipsis")
    for rank, record in enumerate(ranked(records)[:top], start=1):
        assert record.best is not None
        table.add_row(
            str(rank),
            f"{record.number:04d}",
            f"{record.score:.4f}",
            str(record.best.epoch),
            str(record.reports[-1].epoch),
            record.shown_state,
            config_line(record.params),
        )
    return table
