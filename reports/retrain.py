"""The final training: the best configuration on all labelled data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.study_facts import StudyFacts
from trainables.checkpoints import CheckpointStore
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.epoch_report import EpochReport
from trainables.epochs import epochs


@dataclass(frozen=True, kw_only=True)
class RetrainPlan:
    """How long and with what schedule the final training runs."""

    config: TrialConfig
    """The best trial's, its schedule as long as the larger set wants it."""
    last_epoch: int
    searched_epochs: int
    """The best trial's best epoch, which early stopping found on the train part."""


def retrain_plan(facts: StudyFacts) -> RetrainPlan:
    """The number of optimizer steps that early stopping found, on all labelled images.

    All images are more than the train part, so the same number of steps is fewer epochs: both the best epoch and the
    length of the learning-rate schedule are scaled by (train images / all images).
    """
    best = facts.best.best
    assert best is not None
    config = TrialConfig.from_flat(facts.best.config)
    smaller = len(facts.data.split["train"]) / len(facts.data.images)
    last_epoch = max(1, round(best.epoch * smaller))
    length = max(last_epoch, round(config.training.max_epochs * smaller))
    training = dataclasses.replace(config.training, max_epochs=length)
    return RetrainPlan(
        config=dataclasses.replace(config, training=training), last_epoch=last_epoch, searched_epochs=best.epoch
    )


def retrain_store(facts: StudyFacts) -> CheckpointStore:
    """Each trial's final model has its own folder: a study that found a better one starts afresh."""
    return CheckpointStore(str(facts.output / "retrain" / f"{facts.best.number:04d}"))


def retrain(plan: RetrainPlan, data: PreparedData, checkpoints: CheckpointStore) -> Iterator[EpochReport]:
    """Train on every labelled image, one report an epoch; what a stopped run finished is reported again, not redone."""
    everything = np.arange(len(data.images))
    return epochs(
        plan.config, data, train=everything, validation=None, checkpoints=checkpoints, last_epoch=plan.last_epoch
    )
