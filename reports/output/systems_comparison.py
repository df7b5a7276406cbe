"""The tables of the two student reports; for the competition's data with their numbers beside ours."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyarrow import csv
from rich.table import Table
from rich.text import Text

from reports.inputs import StudyFacts
from reports.output.leaderboard_files import column_names
from search.foreign_text import one_line
from search.ledger.records import TrialRecord
from search.study.systems import REPORTS, SYSTEMS, System
from trainables.atomic_write import atomic_write
from trainables.device import uses_bf16
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.evaluation import Scores, evaluate
from trainables.training.resumable_training import load_best

MOST_LETTERS = 24
"""Most letters of a class name as the head of a column."""


@dataclass(frozen=True, kw_only=True)
class SystemRun:
    """One trained system, scored on the held-out test part."""

    record: TrialRecord
    suppressed: Scores
    """Scores with the ignored class suppressed."""
    as_predicted: Scores
    """Scores of the system's own predictions, in which the ignored class may occur."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and sample standard deviation over seeds; the deviation of a single seed is None."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(mean=statistics.fmean(values), deviation=statistics.stdev(values) if len(values) > 1 else None)

    def percent(self) -> str:
        return f"{100 * self.mean:.2f}" + ("" if self.deviation is None else f" ± {100 * self.deviation:.2f}")


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """A system and its runs, one per seed."""

    system: System
    runs: list[SystemRun]

    @property
    def suppressed(self) -> Spread:
        return Spread.of([run.suppressed.mean_iou for run in self.runs])

    @property
    def as_predicted(self) -> Spread:
        return Spread.of([run.as_predicted.mean_iou for run in self.runs])

    def class_iou(self, name: str) -> float | None:
        """Return the mean over seeds of a class's IoU with the ignored class suppressed.

        It is None for a class that the test part does not hold: whether a model finds it cannot be said.
        """
        found = [run.suppressed.class_iou[name] for run in self.runs if name in run.suppressed.class_iou]
        return statistics.fmean(found) if found else None

    def class_percent(self, name: str) -> str:
        """Return `class_iou` in percent, or "none"."""
        iou = self.class_iou(name)
        return "none" if iou is None else f"{100 * iou:.1f}"

    @property
    def parameters(self) -> int:
        return self.runs[0].record.reports[-1].parameters

    @property
    def epochs(self) -> float:
        """Number of epochs trained, mean over seeds."""
        return statistics.fmean(len(run.record.reports) for run in self.runs)

    @property
    def seconds(self) -> float:
        """Seconds of training and validation, mean over seeds."""
        return statistics.fmean(
            sum(report.train_seconds + report.val_seconds for report in run.record.reports) for run in self.runs
        )

    @property
    def published(self) -> str:
        return ", ".join(f"{value:.2f} {kind}" for kind, value in self.system.published.items())


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference between two systems that the reports found, which ours is compared with."""

    claim: str
    better: str
    worse: str
    as_predicted: bool
    """Whether both are compared without suppressing the ignored class, as the reports did."""


EFFECTS = (
    Effect(claim="ignoring class 0 beats not ignoring it", better="a-ce-ignoring", worse="a-ce", as_predicted=True),
    Effect(claim="3 blocks beat 2", better="b-unet3", worse="b-unet2", as_predicted=False),
    Effect(claim="ASPP + attention at least equal x", better="b-attention", worse="b-unet3", as_predicted=False),
    Effect(
        claim="the second stage is not worse than the first",
        better="b-finetuned",
        worse="b-attention",
        as_predicted=False,
    ),
)


def score_runs(facts: StudyFacts, device: torch.device) -> Iterator[SystemRun]:
    """Score every trial that ran to its end on the held-out test part."""
    data, bf16 = facts.data, uses_bf16(facts.settings.precision, device)
    for record in facts.records:
        if record.state == "complete":
            model = load_best(
                checkpoint_store(facts.settings.checkpoint_root(facts.folder), record.number), data, device
            )
            suppressed, as_predicted = (
                evaluate(model, data, data.split["test"], device=device, bf16=bf16, suppressed=suppressed)
                for suppressed in (True, False)
            )
            yield SystemRun(record=record, suppressed=suppressed, as_predicted=as_predicted)


def rows_of(runs: list[SystemRun]) -> list[SystemRow]:
    """Return one row for each system that has runs, in the order of SYSTEMS."""
    by_name: dict[str, list[SystemRun]] = {name: [] for name in SYSTEMS}
    for run in runs:
        by_name[run.record.params["system"]].append(run)
    return [SystemRow(system=SYSTEMS[name], runs=found) for name, found in by_name.items() if found]


def differences(rows: list[SystemRow]) -> list[tuple[Effect, float]]:
    """Return each effect whose two systems were run, and our difference (better minus worse) in points of IoU %."""
    by_name = {row.system.name: row for row in rows}
    found = []
    for effect in EFFECTS:
        if effect.better in by_name and effect.worse in by_name:
            better, worse = (
                by_name[name].as_predicted if effect.as_predicted else by_name[name].suppressed
                for name in (effect.better, effect.worse)
            )
            found.append((effect, 100 * (better.mean - worse.mean)))
    return found


def boost(rows: list[SystemRow]) -> tuple[int, float] | None:
    """Return the number of systems that learn the ignored class, and their mean gain if it is only suppressed.

    The gain is in points of IoU %. None if there is no such system.
    """
    learned = [row for row in rows if row.system.config.get("loss.learn_ignored")]
    if not learned:
        return None
    return len(learned), 100 * statistics.fmean(row.suppressed.mean - row.as_predicted.mean for row in learned)


def boost_sentence(rows: list[SystemRow]) -> str:
    """Describe how much of the reports' significant boost comes from the score alone; "" without such systems."""
    if (found := boost(rows)) is None:
        return ""
    count, points = found
    return (
        f"Never predicting the ignored class adds {points:.1f} points on average to the {count} systems that learn it, "
        "without another step of training: that much of the reports' significant boost comes from the score, not from "
        "the model."
    )


def second_stage_sentence(rows: list[SystemRow]) -> str:
    """Describe the gain of the second stage over the first stage of the same run; "" if no run has a second stage."""
    gains = []
    for run in (run for row in rows for run in row.runs):
        first, second = ([r.mean_iou or 0.0 for r in run.record.reports if r.stage == stage] for stage in (1, 2))
        if run.record.config.get("second_stage.name", "none") != "none" and second:
            gains.append(100 * (max(second) - max(first)))
    if not gains:
        return ""
    return (
        f"The second stage adds {statistics.fmean(gains):+.2f} points on average to the first stage of the same run, "
        f"best epoch against best epoch (validation, {len(gains)} runs); the better of the two is kept."
    )


def terminal_tables(facts: StudyFacts, rows: list[SystemRow]) -> list[Table]:
    comparable = facts.data.description.of_competition
    rarest = facts.data.description.class_names[facts.data.rarest_label]
    tables = []
    for report, described in REPORTS.items():
        table = Table(title=f"{report}: {described}", title_justify="left")
        table.add_column("system")
        named = Text(one_line(rarest, MOST_LETTERS))  # a name from the data, which may look like markup
        if comparable:
            table.add_column("their IoU %", justify="right")
        for column in ("ours", "as predicted", named, "parameters", "epochs", "seconds"):
            table.add_column(column, justify="right")
        for row in rows:
            if row.system.report == report:
                table.add_row(
                    row.system.name,
                    *([row.published or "-"] if comparable else []),
                    row.suppressed.percent(),
                    row.as_predicted.percent(),
                    row.class_percent(rarest),
                    f"{row.parameters:,}",
                    f"{row.epochs:.0f}",
                    f"{row.seconds:.0f}",
                )
        if table.rows:
            tables.append(table)
    return tables


def write_systems(facts: StudyFacts, rows: list[SystemRow]) -> Path:
    """Write `systems.csv`, a line per system; returns its path.

    Scores are in [0, 1], the published ones in percent.
    """
    path = facts.output / "systems.csv"
    with atomic_write(path) as new:
        csv.write_csv(pa.Table.from_pylist([_line(facts, row) for row in rows]), new)
    return path


def _line(facts: StudyFacts, row: SystemRow) -> dict[str, Any]:
    kinds = ("validation", "local test", "leaderboard") if facts.data.description.of_competition else ()
    return {
        "report": row.system.report,
        "system": row.system.name,
        "title": row.system.title,
        "variation of": row.system.varies,
        **{f"published {kind} %": row.system.published.get(kind) for kind in kinds},
        "seeds": len(row.runs),
        "test mean_iou": row.suppressed.mean,
        "test mean_iou sd": row.suppressed.deviation,
        "test mean_iou as predicted": row.as_predicted.mean,
        "test mean_iou as predicted sd": row.as_predicted.deviation,
        **{f"test iou {shown}": row.class_iou(name) for name, shown in column_names(facts).items()},
        "parameters": row.parameters,
        "epochs": row.epochs,
        "seconds": row.seconds,
    }
