"""Learning curves recorded by studies, and their table on disk."""

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
from trainables.prediction.metric import MEAN_IOU, Metric


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The learning curve of one trial."""

    params: dict[str, Any]
    """Values of the space's parameters that exist for this trial."""
    scores: tuple[float, ...]
    """Score on the validation part after each epoch, in [0, 1]."""
    seconds: tuple[float, ...]
    """Duration of training and validation in each epoch, in seconds."""
    whole: bool
    """Whether the trial ended by itself; otherwise it was stopped, and the rest of its curve is unknown."""


def curves_of(records: list[TrialRecord]) -> list[Curve]:
    """Return the learning curve of each trial that has a score for every one of its epochs."""
    curves = []
    for record in records:
        scores = [report.score for report in record.reports if report.score is not None and not report.diverged]
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


def write_curves(curves: list[Curve], space: Space, path: Path, metric: Metric = MEAN_IOU) -> None:
    """Write a Parquet file with one row per epoch.

    The columns are trial, epoch, mean_iou (score for any other metric), seconds, whole, and the space's parameters
    (null where absent).
    """
    rows = [
        {"trial": trial, "epoch": epoch, metric.tag: score, "seconds": seconds, "whole": curve.whole}
        | {parameter.name: curve.params.get(parameter.name) for parameter in space.parameters}
        for trial, curve in enumerate(curves)
        for epoch, (score, seconds) in enumerate(zip(curve.scores, curve.seconds, strict=True), start=1)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)


def read_curves(path: Path) -> list[Curve]:
    """Read a file that `write_curves` has written."""
    trials: dict[int, list[dict[str, Any]]] = {}
    for row in parquet.read_table(path).to_pylist():
        trials.setdefault(row["trial"], []).append(row)
    fixed = ("trial", "epoch", "mean_iou", "score", "seconds", "whole")
    curves = []
    for rows in trials.values():
        score = "mean_iou" if "mean_iou" in rows[0] else "score"
        rows.sort(key=lambda row: row["epoch"])
        params = {name: value for name, value in rows[0].items() if name not in fixed and value is not None}
        curves.append(
            Curve(
                params=params,
                scores=tuple(row[score] for row in rows),
                seconds=tuple(row["seconds"] for row in rows),
                whole=rows[0]["whole"],
            )
        )
    return curves


def recorded(studies: list[Path]) -> tuple[StudySettings, list[Curve]]:
    """Return the settings of the first of these studies, and the learning curves of all of them.

    Raises:
        ValueError: if a folder has no study, a study ran systems, or the studies differ in space, profile or metric.
    """
    curves: list[Curve] = []
    first: StudySettings | None = None
    for folder in studies:
        ledger = Ledger.open(folder)
        settings = StudySettings.recorded(ledger.settings, folder)
        if settings.systems:
            raise ValueError(f"{folder}: is a study of systems, but only searches can be replayed: leave it out")
        first = first or settings
        if settings.chosen_metric != first.chosen_metric:
            raise ValueError(
                f"{folder}: its score is {settings.chosen_metric.title}, but that of {studies[0]} is "
                f"{first.chosen_metric.title}: replay them separately"
            )
        if (settings.space, settings.profile) != (first.space, first.profile):
            raise ValueError(
                f"{folder}: has space {settings.space} and profile {settings.profile}, but {studies[0]} has space "
                f"{first.space} and profile {first.profile}: replay them separately"
            )
        if settings.sizes != first.sizes:
            raise ValueError(
                f"{folder}: has other depths or batch sizes than {studies[0]}, as its data has other sizes: replay "
                "them separately"
            )
        curves += curves_of(ledger.records())
    assert first is not None
    return first, curves
