"""`report.html`: one page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2

from reports.final_model.retrain_and_predict import FinalModel
from reports.inputs import StudyFacts
from reports.output import class_figures, trial_figures
from reports.output.systems_comparison import SystemRow, boost_sentence, differences, second_stage_sentence
from reports.prediction.scores_with_intervals import Interval
from reports.prediction.scoring import Scored, averaged_sentence, mean_iou_sentence, rare_lines
from search.formatting import clean, config_line, duration
from search.ledger.ranking import ranked
from search.scheduling.false_stops import audit
from search.study.systems import REPORTS
from trainables.atomic_write import atomic_write

SHOWN = 15
"""Most trials in the leaderboard of the page, and most failed trials with their error."""
ERROR_LINES = 4
"""Lines of an error that are shown, the last ones."""


class Page:
    """The page of one report. It may be written several times, and what has not changed is made only once."""

    def __init__(self, facts: StudyFacts, systems: Sequence[SystemRow] = ()):
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("reports"),
            autoescape=True,
            finalize=_cleaned,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )
        self.facts = facts
        self.path = facts.output / "report.html"
        self._template = environment.get_template("report.html")
        self._study = _study_content(facts) | _systems_content(facts, list(systems))
        self._scored: Scored | None = None
        self._scores: dict[str, Any] = {}

    def write(self, scored: Scored, final: FinalModel | None, *, submits: bool) -> None:
        """Write the page, in place of an earlier one.

        Args:
            scored: the predictor and its scores.
            final: the final model; None: there is none, or not yet.
            submits: whether the report makes a final model and a submission.
        """
        if scored is not self._scored:
            self._scored, self._scores = scored, _scores_content(self.facts, scored)
        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        html = self._template.render(**self._study, **self._scores, final=final, submits=submits, made=made)
        with atomic_write(self.path) as new:
            new.write_text(html, encoding="utf-8")


def _cleaned(value: Any) -> Any:
    """Clean text before it enters the page. Markup, which the figures are, passes as it is."""
    return clean(value) if type(value) is str else value


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


def _study_content(facts: StudyFacts) -> dict[str, Any]:
    """Return what the page shows of the study, whichever model predicts."""
    audited = audit(facts.records, facts.settings)
    seconds = sum(r.train_seconds + r.val_seconds for record in facts.records for r in record.reports)
    failed = [record for record in facts.records if record.state == "failed"]
    return {
        "audit": audited.sentence(facts.metric) if audited else "",
        "facts": facts,
        "computing": duration(seconds),
        "shown": [
            (rank, record, config_line(record.params))
            for rank, record in enumerate(ranked(facts.records)[:SHOWN], start=1)
        ],
        "failed": [(record, "\n".join((record.error or "").splitlines()[-ERROR_LINES:])) for record in failed[:SHOWN]],
        "failed_too": len(failed[SHOWN:]),
        "score_over_trials": trial_figures.score_over_trials(facts),
        "learning_curves": trial_figures.learning_curves(facts),
        "curves_caption": trial_figures.curves_caption(facts),
    }


def _scores_content(facts: StudyFacts, scored: Scored) -> dict[str, Any]:
    """Return what the page shows of a predictor."""
    by_part = {"validation": scored.validation.class_iou(), "held-out test": scored.test.class_iou()}
    confusion, shown = scored.test.counts.sum(0), (scored.example_indices, scored.example_predictions)
    return {
        "scored": scored,
        "never": scored.never,
        "validation": scored.validation.interval(),
        "test": scored.test.interval(),
        "classes": _class_rows(scored),
        "averaged": averaged_sentence(scored),
        "other_mean": "" if facts.metric.is_mean_iou else mean_iou_sentence(scored),
        "rare": rare_lines(scored),
        "predictor": scored.choice.predictor.describe(facts.data.description.class_names),
        "class_bars": class_figures.class_bars(facts, by_part),
        "confusion": class_figures.confusion_matrix(facts, confusion),
        "confusion_caption": class_figures.matrix_caption(facts, confusion),
        "examples": class_figures.examples(facts, *shown) if len(scored.example_indices) else None,
        "legend": class_figures.legend(facts, *shown),
        "wide_figures": len(facts.data.present_labels) > class_figures.MOST_WITH_NUMBERS,
    }


def _class_rows(scored: Scored) -> list[tuple[str, Interval | None, Interval | None, int]]:
    """Return name, validation interval, test interval and number of test images of each scored class."""
    validation, test = scored.validation.class_intervals(), scored.test.class_intervals()
    return [(name, validation.get(name), test.get(name), count) for name, count in scored.test.images_with().items()]
