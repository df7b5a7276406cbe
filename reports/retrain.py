"""The final training: the best configuration on all labelled data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.study_facts import StudyFacts
from search.trial_record import TrialRecord
from trainables.checkpoints import CheckpointStore
from trainables.config import SecondStageConfig, TrialConfig
from trainables.data import PreparedData
from trainables.epoch_report import EpochReport
from trainables.epochs import epochs
from trainables.stages import stages


@dataclass(frozen=True, kw_only=True)
class RetrainPlan:
    """How long and with what schedule the final training runs."""

    config: TrialConfig
    """The best trial's, but for `training.max_epochs`."""
    searched_epochs: int
    """The best trial's best epoch, which early stopping found on the train part."""

    @property
    def epochs(self) -> int:
        return self.config.training.max_epochs


def retrain_plan(facts: StudyFacts) -> RetrainPlan:
    """The number of optimizer steps that early stopping found, on all labelled images.

    All images are more than the train part, so the same number of steps is fewer epochs: the best epoch is scaled by
    (train images / all images). The learning-rate schedule spans just these epochs: without validation no epoch can be
    picked, so the last one must be where the schedule has come to its end. A second stage keeps its part of the epochs
    up to the best one, and is left out if that was before it.
    """
    best = facts.best.best
    assert best is not None
    config = TrialConfig.from_flat(facts.best.config)
    smaller = len(facts.data.train_part(facts.settings.train_fraction)) / len(facts.data.images)
    epochs, second_stage = best.epoch, config.second_stage
    found = Counter(_stage(facts.best, report, config) for report in facts.best.reports[: best.epoch])
    if second_stage.fraction is not None:
        if fine_tuned := found[second_stage.name]:
            second_stage = dataclasses.replace(second_stage, fraction=fine_tuned / epochs)
        else:
            second_stage = SecondStageConfig()
    if found["background"]:
        # The background network gets half of the first stage: it must be long enough for the longer of the two.
        epochs = 2 * max(found["background"], found["terrain"]) + found[config.second_stage.name]
    training = dataclasses.replace(config.training, max_epochs=max(1, round(epochs * smaller)))
    return RetrainPlan(
        config=dataclasses.replace(config, training=training, second_stage=second_stage), searched_epochs=best.epoch
    )


def _stage(trial: TrialRecord, report: EpochReport, config: TrialConfig) -> str:
    """The name of the stage that the epoch belongs to."""
    known = stages(config)
    if not 1 <= report.stage <= len(known):
        raise ValueError(
            f"trial {trial.number}: epoch {report.epoch} is of stage {report.stage}, "
            f"but its configuration has {len(known)} stage(s)"
        )
    return known[report.stage - 1].name


def retrain_store(facts: StudyFacts, plan: RetrainPlan) -> CheckpointStore:
    """Each plan has its own folder: a study that went on to a better trial or epoch starts afresh."""
    return CheckpointStore(str(facts.output / "retrain" / f"{facts.best.number:04d}-{plan.epochs}-epochs"))


def retrain(plan: RetrainPlan, data: PreparedData, checkpoints: CheckpointStore) -> Iterator[EpochReport]:
    """Train on every labelled image, one report an epoch; what a stopped run finished is reported again, not redone."""
    return epochs(plan.config, data, train=np.arange(len(data.images)), validation=None, checkpoints=checkpoints)
