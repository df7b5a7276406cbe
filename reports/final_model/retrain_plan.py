"""The plan of the final training: which epochs of a trial it repeats, at which learning rates."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from reports.inputs import StudyFacts
from search.ledger.records import TrialRecord, best_report
from trainables.config import SecondStageConfig, TrialConfig
from trainables.data.batches import steps_of
from trainables.messages import EpochReport
from trainables.training.searched_rates import searched_rates
from trainables.training.stages import Stage, stages

DECAY = 0.99
"""Decay of the weight average (EMA) that is kept if the search kept none and the learning rate ends high."""
STILL_HIGH = 0.1
"""The learning rate ends high if its last value is above this part of its highest value."""


@dataclass(frozen=True, kw_only=True)
class RetrainPlan:
    """The training that the final training repeats, on more images than the search trained on."""

    number: int
    """Number of the trial."""
    config: TrialConfig
    """Configuration of the trial, with the new lengths of the training and of its second stage, and with a weight
    average if the learning rate ends high."""
    stages: tuple[Stage, ...]
    """Stages up to the best epoch, with the learning rates that they used."""
    micro_batches: int
    """Number of micro-batches of a batch, as the trial last used."""

    @property
    def epochs(self) -> int:
        return self.config.training.max_epochs

    @property
    def name(self) -> str:
        """Name of its folder, with a digest of all that the training depends on."""
        what = {"config": self.config.to_flat(), "stages": [dataclasses.asdict(stage) for stage in self.stages]}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.number:04d}-{self.epochs}-epochs-{digest}"


def retrain_plan(facts: StudyFacts, number: int) -> RetrainPlan:
    """Plan to repeat the epochs of a trial that made its best weights.

    The same number of epochs has more steps on more images, so the learning rates are stretched over them. The final
    training has no validation part on which its best epoch could be chosen. If the learning rate ends high (a constant
    one, or a schedule that early stopping cut off), the last epoch is no better than those before it, and an average of
    the weights is kept.

    Raises:
        ValueError: if an epoch is of a stage that its configuration does not have.
    """
    trial = facts.record(number)
    crops = facts.data.crops(facts.data.train_part(facts.settings.train_fraction)).sum()
    return repeating(trial, TrialConfig.from_flat(trial.config), trial.reports, images=int(crops))


def repeating(trial: TrialRecord, config: TrialConfig, reports: Sequence[EpochReport], *, images: int) -> RetrainPlan:
    """Return the plan that repeats a training up to its best epoch.

    Args:
        trial: the trial whose configuration was trained.
        config: the configuration as it was trained.
        reports: reports of the training, one per epoch.
        images: number of images, or crops, of an epoch.
    """
    steps = steps_of(images, config.training.batch_size)
    repeated = []
    for stage, own in _up_to_the_best(trial.number, reports, stages(config)):
        rates = searched_rates(config, stage, own, steps_per_epoch=steps)
        repeated.append(dataclasses.replace(stage, epochs=len(own), rates=rates))
    training = dataclasses.replace(config.training, max_epochs=sum(stage.epochs for stage in repeated))
    last = repeated[-1]
    second_stage = SecondStageConfig()
    if last.name == config.second_stage.name:
        second_stage = dataclasses.replace(config.second_stage, fraction=last.epochs / training.max_epochs)
    rates = last.rates or ()
    if training.ema_decay is None and rates[-1] > STILL_HIGH * max(rates):
        training = dataclasses.replace(training, ema_decay=DECAY)
    return RetrainPlan(
        number=trial.number,
        config=dataclasses.replace(config, training=training, second_stage=second_stage),
        stages=tuple(repeated),
        micro_batches=trial.micro_batches,
    )


def _up_to_the_best(
    number: int, reports: Sequence[EpochReport], known: Sequence[Stage]
) -> list[tuple[Stage, list[EpochReport]]]:
    """Return the stages whose epochs made the best weights, each with these epochs, in order.

    If a stage began from the best epoch before it, the epochs after that one are left out. If it began from the last
    epoch before it, all of them are needed.
    """
    best = best_report(reports)
    assert best is not None
    for report in reports:
        if not 1 <= report.stage <= len(known):
            raise ValueError(
                f"trial {number}: epoch {report.epoch} is of stage {report.stage}, "
                f"but its configuration has {len(known)} stage(s)"
            )
    found: list[tuple[Stage, list[EpochReport]]] = []
    last: EpochReport | None = best
    while last is not None:
        stage = known[last.stage - 1]
        own = [report for report in reports if report.stage == last.stage and report.epoch <= last.epoch]
        found.insert(0, (stage, own))
        before = [report for report in reports if report.epoch < own[0].epoch]
        if not before:
            last = None
        elif stage.from_best:
            last = max(before, key=lambda report: (report.score or 0.0, -report.epoch))
        else:
            last = before[-1]
    return found
