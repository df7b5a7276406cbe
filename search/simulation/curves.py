"""Recorded learning curves of studies, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.study.settings import StudySettings
from search.study.space import Space


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one trial scored, epoch by epoch."""

    params: dict[str, Any]
    """The space's parameters that exist for it."""
    scores: tuple[float, ...]
    """Mean IoU on the validation part after each epoch, in [0, 1]."""
    seconds: tuple[float, ...]
    """Of training and validation, by epoch."""
    whole: bool
    """Whether the trial ended by itself; else it was stopped, and nobody knows how it would have gone on."""


def curves_of(records: list[TrialRecord]) -> list[Curve]:
    """Of every trial that scored in each of its epochs."""
    curves = []
    for record in records:
        scores = [report.mean_iou for report in record.reports if report.mean_iou is not None and not report.diverged]
        if scores and len(scores) == len(record.reports):
            curves.append(
                Curve(
                    params=record.params,
                    scores=tuple(scores),
                    seconds=tuple(report.train_seconds + report.val_seconds for report in record.reports),
                    whole=record.state == "complete",
                )
            )
    return curves


def write_curves(curves: list[Curve], space: Space, path: Path) -> None:
    """One row an epoch: trial, epoch, mean_iou, seconds, whole, and the space's parameters (null where absent)."""
    rows = [
        {"trial": trial, "epoch": epoch, "mean_iou": score, "seconds": seconds, "whole": curve.whole}
        | {parameter.name: curve.params.get(parameter.name) for parameter in space.parameters}
        for trial, curve in enumerate(curves)
        for epoch, (score, seconds) in enumerate(zip(curve.scores, curve.seconds, strict=True), start=1)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)


def read_curves(path: Path) -> list[Curve]:
    """The inverse of `write_curves`."""
    trials: dict[int, list[dict[str, Any]]] = {}
    for row in parquet.read_table(path).to_pylist():
        trials.setdefault(row["trial"], []).append(row)
    fixed = ("trial", "epoch", "mean_iou", "seconds", "whole")
    curves = []
    for rows in trials.values():
        rows.sort(key=lambda row: row["epoch"])
        params = {name: value for name, value in rows[0].items() if name not in fixed and value is not None}
        curves.append(
            Curve(
                params=params,
                scores=tuple(row["mean_iou"] for row in rows),
                seconds=tuple(row["seconds"] for row in rows),
                whole=rows[0]["whole"],
            )
        )
    return curves


def recorded(studies: list[Path]) -> tuple[StudySettings, list[Curve]]:
    """The settings of the first of these studies, and the learning curves of all.

    Raises:
        ValueError: if there is no such study, or they do not belong together.
    """
    curves: list[Curve] = []
    first: StudySettings | None = None
    for folder in studies:
        ledger = Ledger.open(folder)
        settings = StudySettings.recorded(ledger.settings, folder)
        if settings.systems:
            raise ValueError(f"{folder}: is a study of systems; only searches can be replayed")
        first = first or settings
        if (settings.space, settings.profile) != (first.space, first.profile):
            raise ValueError(
                f"{folder}: searched space {settings.space} in profile {settings.profile}, {studies[0]} space "
                f"{first.space} in profile {first.profile}: they cannot be replayed together"
            )
        curves += curves_of(ledger.records())
    assert first is not None
    return first, curves
