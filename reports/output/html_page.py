"""`report.html`: one page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from reports.final_model.retrain_and_predict import FinalModel
from reports.inputs import StudyFacts
from reports.output import figures
from reports.output.systems_comparison import SystemRow, boost_sentence, differences, second_stage_sentence
from reports.prediction.scores_with_intervals import Interval
from reports.prediction.scoring import Scored, rare_lines
from search.formatting import config_line, duration
from search.ledger.ranking import ranked
from search.scheduling.false_stops import audit
from search.study.systems import REPORTS
from trainables.atomic_write import atomic_write

SHOWN = 15
ERROR_LINES = 4


def write_page(facts: StudyFacts, scored: Scored, final: FinalModel | None, systems: Sequence[SystemRow] = ()) -> Path:
    """Write the page; returns its path."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("report.html").render(
        **_content(facts, scored, final), **_systems_content(facts, list(systems))
    )
    path = facts.output / "report.html"
    with atomic_write(path) as new:
        new.write_text(html, encoding="utf-8")
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


def _content(facts: StudyFacts, scored: Scored, final: FinalModel | None) -> dict[str, Any]:
    by_part = {"validation": scored.validation.class_iou(), "held-out test": scored.test.class_iou()}
    audited = audit(facts.records, facts.settings)
    seconds = sum(r.train_seconds + r.val_seconds for record in facts.records for r in record.reports)
    return {
        "audit": audited.sentence() if audited else "",
        "facts": facts,
        "scored": scored,
        "validation": scored.validation.interval(),
        "test": scored.test.interval(),
        "classes": _class_rows(scored),
        "rare": rare_lines(scored),
        "predictor": scored.choice.predictor.describe(facts.data.description.class_names),
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
        "confusion": figures.confusion_matrix(facts, scored.test.counts.sum(0)),
        "examples": figures.examples(facts, scored.example_indices, scored.example_predictions)
        if len(scored.example_indices)
        else None,
        "legend": figures.legend(facts),
    }


def _class_rows(scored: Scored) -> list[tuple[str, Interval | None, Interval | None, int]]:
    """Return name, validation interval, test interval and number of test images of each scored class."""
    validation, test = scored.validation.class_intervals(), scored.test.class_intervals()
    return [(name, validation.get(name), test.get(name), count) for name, count in scored.test.images_with().items()]
