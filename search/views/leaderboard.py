"""Terminal table of the best trials."""

from __future__ import annotations

from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table

from search.formatting import clean
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.views.parameter_columns import parameter_columns
from trainables.prediction.metric import MEAN_IOU, Metric

GAP = 2
"""Width of the space between two columns."""


def leaderboard(records: list[TrialRecord], top: int = 10, *, width: int = 80, metric: Metric = MEAN_IOU) -> Table:
    """Return a terminal table of the best trials, ranked by score, with one line a trial.

    The parameters in which these trials differ are columns, as many as fit; the caption says how many do not.

    Args:
        records: all trials of the study.
        top: number of trials to show.
        width: width of the terminal in characters.
        metric: what the scores are. Beside any other than the mean IoU, that of the best epoch is shown too.
    """
    best = ranked(records)[:top]
    columns = {
        "rank": [str(rank) for rank in range(1, len(best) + 1)],
        "trial": [f"{record.number:04d}" for record in best],
        metric.title.replace(" ", "\n", 1): [f"{record.score:.4f}" for record in best],
        **({} if metric.is_mean_iou else {"mean\nIoU": [_mean_iou(record) for record in best]}),
        "best\nepoch": [str(record.best.epoch) for record in best if record.best],
        "epochs": [str(record.reported_epochs) for record in best],
        "state": [record.shown_state for record in best],
    }
    numeric = set(columns) - {"state"}
    left, omitted = width - sum(_width(head, cells) + GAP for head, cells in columns.items()) + GAP, 0
    for column in parameter_columns(best):
        head, cells = clean(column.label).replace("_", "\n"), [" ".join(clean(cell).split()) for cell in column.cells]
        if (needed := _width(head, cells) + GAP) <= left:
            columns[head], left = cells, left - needed
        else:
            omitted += 1
    counts = Counter(record.shown_state for record in records)
    caption = ", ".join(f"{count} {state}" for state, count in counts.items())
    if omitted:
        differ = "parameter differs" if omitted == 1 else "parameters differ"
        caption += f"\n{omitted} more {differ}: a wider terminal (or COLUMNS={2 * width}) shows more"
    title = f"best trials ({metric.title} on the validation part)"
    table = Table(
        title=title,
        caption=caption,
        min_width=min(width, max(map(len, (title, *caption.split("\n"))))),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )
    for head in columns:
        table.add_column(head, justify="right" if head in numeric else "left", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _mean_iou(record: TrialRecord) -> str:
    """Return the mean IoU of the best epoch."""
    value = record.best.mean_iou if record.best is not None else None
    return "-" if value is None else f"{value:.4f}"


def _width(head: str, cells: list[str]) -> int:
    return max(cell_len(text) for text in (*head.split("\n"), *cells))
