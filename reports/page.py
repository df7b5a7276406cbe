"""`report.html`: one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from reports import figures
from reports.study_facts import StudyFacts
from reports.systems_table import SystemRow, boost_sentence, differences, second_stage_sentence
from search.audit import audit
from search.leaderboard import ranked
from search.systems import REPORTS
from search.wording import config_line, duration
from trainables.evaluation import Scores

SHOWN = 15
ERROR_LINES = 4


@dataclass(frozen=True, kw_only=True)
class BestModel:
    """The search's best model on images with labels."""

    validation: Scores
    """It chose the trial and the epoch: too kind a score."""
    test: Scores
    """On images that neither trained nor chose the model."""
    example_indices: np.ndarray
    """(N,) of test images."""
    example_predictions: np.ndarray
    """(N, H, W) labels."""


@dataclass(frozen=True, kw_only=True)
class FinalModel:
    """What predicted the submission."""

    retrained_epochs: int | None
    """Epochs on all labelled images; None: the search's own best model."""
    flips: str
    submission: str | None
    """File name; None without a test set."""
    rows: int
    label_shares: dict[str, float]
    """Part of the predicted pixels, by class name."""


def write_page(
    facts: StudyFacts, model: BestModel, final: FinalModel | None, systems: Sequence[SystemRow] = ()
) -> Path:
    """Write the page; returns its path."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("report.html").render(
        **_content(facts, model, final), **_systems_content(facts, list(systems))
    )
    path = facts.output / "report.html"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(html)
    temporary.replace(path)
    return path


def _systems_content(facts: StudyFacts, rows: list[SystemRow]) -> dict[str, Any]:
    return {
        "systems": rows,
        "reports": REPORTS,
        "seeds": max((len(row.runs) for row in rows), default=0),
        "rarest": facts.data.description.class_names[facts.data.rarest_label],
        "boost": boost_sentence(rows),
        "second_stage": second_stage_sentence(rows),
        "effects": differences(rows),
    }


def _content(facts: StudyFacts, model: BestModel, final: FinalModel | None) -> dict[str, Any]:
    by_part = {"validation": model.validation.class_iou, "held-out test": model.test.class_iou}
    audited = audit(facts.records, facts.settings)
    seconds = sum(r.train_seconds + r.val_seconds for record in facts.records for r in record.reports)
    return {
        "audit": audited.sentence() if audited else "",
        "facts": facts,
        "model": model,
        "final": final,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "computing": duration(seconds),
        "shown": [(rank, record, config_line(record.params)) for rank, record in enumerate(ranked(facts.records), 1)][
            :SHOWN
        ],
        "failed": [
            (record, "\n".join((record.error or "").splitlines()[-ERROR_LINES:]))
            for record in facts.records
            if record.state == "failed"
        ],
        "score_over_trials": figures.score_over_trials(facts),
        "learning_curves": figures.learning_curves(facts),
        "class_bars": figures.class_bars(facts, by_part),
        "confusion": figures.confusion_matrix(facts, model.test.confusion),
        "examples": figures.examples(facts, model.example_indices, model.example_predictions)
        if len(model.example_indices)
        else None,
        "legend": figures.legend(facts),
    }
