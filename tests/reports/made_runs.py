"""Runs of systems with scores that were made up, and what a report knows of a study that has no data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from reports.final_model.retrain_plan import RetrainPlan, retrain_plan
from reports.inputs import StudyFacts
from reports.output.systems_comparison import SystemRun
from search.ledger.records import TrialRecord
from tests.made.records import trial_record
from tests.made.studies import study_settings
from trainables.data import MARS, DataDescription, PreparedData
from trainables.training.evaluation import Scores


def scores(mean_iou: float, **class_iou: float) -> Scores:
    """With the mean of those of the classes."""
    found = class_iou or {"soil": mean_iou}
    return Scores(score=mean_iou, mean_iou=mean_iou, class_iou=found, confusion=np.zeros((5, 5)), loss=float("nan"))


def system_run(system: str, suppressed: Scores, as_predicted: Scores, **changes: Any) -> SystemRun:
    record = trial_record(**{"scores": [0.5], "params": {"system": system, "training.seed": 0}} | changes)
    return SystemRun(record=record, suppressed=suppressed, as_predicted=as_predicted)


def made_facts(
    folder: Path, records: list[TrialRecord], data: Any = None, description: DataDescription = MARS, **settings: Any
) -> StudyFacts:
    """Of a study with these records, whose data set has classes, the competition's by default, but no images."""
    data = data or SimpleNamespace(description=description, rarest_label=4, present_labels=(1, 3, 4))
    return StudyFacts(
        folder=folder, settings=study_settings(**settings), records=records, data=cast("PreparedData", data)
    )


def best_plan(facts: StudyFacts) -> RetrainPlan:
    """Plan to repeat the best trial."""
    return retrain_plan(facts, facts.best.number)
