"""The leaderboard as CSV and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from reports.study_facts import StudyFacts
from search.leaderboard import ranked
from search.ledger import TrialRecord


def leaderboard_table(facts: StudyFacts) -> pa.Table:
    """Every trial, best first, then those without a score; a parameter that does not exist for a trial is null."""
    scored = ranked(facts.records)
    order = scored + [record for record in facts.records if record.score is None]
    rows = [_row(facts, record, rank if record.score is not None else None) for rank, record in enumerate(order, 1)]
    parameters = [parameter.name for parameter in facts.space.parameters]
    return pa.Table.from_pylist(
        [row | {name: record.params.get(name) for name in parameters} for row, record in zip(rows, order, strict=True)]
    )


def _row(facts: StudyFacts, record: TrialRecord, rank: int | None) -> dict[str, Any]:
    best = record.best
    names = [facts.data.description.class_names[label] for label in facts.data.present_labels]
    return {
        "rank": rank,
        "trial": record.number,
        "state": record.state,
        "mean_iou": record.score,
        **{f"iou {name}": best.class_iou.get(name) if best else None for name in names},
        "val_loss": best.val_loss if best else None,
        "best_epoch": best.epoch if best else None,
        "epochs": len(record.reports),
        "parameters": best.parameters if best else None,
        "seconds": sum(report.train_seconds + report.val_seconds for report in record.reports),
        "error": record.error.splitlines()[-1] if record.error else None,
    }


def write_leaderboard(facts: StudyFacts) -> list[Path]:
    """Write `leaderboard.csv` and `leaderboard.parquet`; returns their paths."""
    table = leaderboard_table(facts)
    paths = [facts.output / "leaderboard.csv", facts.output / "leaderboard.parquet"]
    csv.write_csv(table, paths[0])
    parquet.write_table(table, paths[1])
    return paths
