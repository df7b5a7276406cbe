"""The leaderboard as CSV and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from reports.inputs import StudyFacts
from search.foreign_text import distinct_names, one_line
from search.ledger.costs import PARTS, seconds_of
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.study.space import Parameter
from trainables.atomic_write import atomic_write


def leaderboard_table(facts: StudyFacts) -> pa.Table:
    """Return a row per trial, best first, those without a score last. A parameter that a trial lacks is null."""
    scored = ranked(facts.records)
    order = scored + [record for record in facts.records if record.score is None]
    rows = [_row(facts, record, rank if record.score is not None else None) for rank, record in enumerate(order, 1)]
    return pa.Table.from_pylist(rows, schema=_schema(facts))


def _schema(facts: StudyFacts) -> pa.Schema:
    """Return a schema that depends on the study alone, not on which parameters its trials happen to have."""
    metrics = {
        "rank": pa.int64(),
        "trial": pa.int64(),
        "state": pa.string(),
        **dict.fromkeys((facts.metric.tag, "mean_iou"), pa.float64()),
        "best_epoch": pa.int64(),
        "epochs": pa.int64(),
        **{f"iou {name}": pa.float64() for name in column_names(facts).values()},
        "val_loss": pa.float64(),
        "parameters": pa.int64(),
        **{f"{part} seconds": pa.float64() for part in PARTS},
    }
    parameters = {parameter.name: _type(parameter) for parameter in facts.space.parameters}
    return pa.schema([*metrics.items(), *parameters.items(), ("error", pa.string())])


def _type(parameter: Parameter) -> pa.DataType:
    if parameter.choices is not None:
        return pa.array(parameter.choices).type
    return pa.int64() if parameter.whole else pa.float64()


def column_names(facts: StudyFacts) -> dict[str, str]:
    """Return the name in columns of each class that the data holds, by its own name."""
    described = facts.data.description
    shown = distinct_names(described.class_names)
    return {name: shown[name] for name in (described.class_names[label] for label in facts.data.present_labels)}


def _row(facts: StudyFacts, record: TrialRecord, rank: int | None) -> dict[str, Any]:
    best = record.best
    return {
        "rank": rank,
        "trial": record.number,
        "state": record.shown_state,
        "mean_iou": best.mean_iou if best else None,
        facts.metric.tag: record.score,
        **{f"iou {shown}": best.class_iou.get(name) if best else None for name, shown in column_names(facts).items()},
        "val_loss": best.val_loss if best else None,
        "best_epoch": best.epoch if best else None,
        "epochs": len(record.reports),
        "parameters": best.parameters if best else None,
        **{f"{part} seconds": seconds for part, seconds in seconds_of(record).items()},
        **record.params,
        "error": one_line(record.error.splitlines()[-1]) if record.error else None,
    }


def write_leaderboard(facts: StudyFacts) -> list[Path]:
    """Write `leaderboard.csv` and `leaderboard.parquet`; returns their paths."""
    table = leaderboard_table(facts)
    paths = [facts.output / "leaderboard.csv", facts.output / "leaderboard.parquet"]
    for path, write in zip(paths, (csv.write_csv, parquet.write_table), strict=True):
        with atomic_write(path) as new:
            write(table, new)
    return paths
