"""The finalist: the best configuration trained as long, and as large, as the report's time allows.

A search finds its best configuration with trials that are short, so that there are many. The rest of the time buys one
full-length training of it, on the train part and judged on the validation part as every trial was, and then the same
again on all labelled images. How long and how wide:

- Longer first: up to LONGEST times the epochs of a trial, with the configuration's own schedule over the whole length.
- Where that leaves more than half of the time, WIDER times as many channels, which cost its square.
- Where it is not even SHORTEST times as long as a trial there is no finalist: the search has seen its best.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reports.final_model.retrain import RetrainPlan, in_parts, repeating
from reports.inputs import StudyFacts
from search.foreign_files import parse_json, read_text
from search.ledger.records import TrialRecord
from trainables.config import TrialConfig
from trainables.data.batches import steps_of
from trainables.device import uses_bf16
from trainables.messages import EpochReport
from trainables.out_of_memory import is_out_of_memory
from trainables.training.checkpoints import CheckpointStore, DamagedCheckpoint
from trainables.training.evaluation import evaluate
from trainables.training.trainer import Training

LONGEST = 4.0
SHORTEST = 1.25
WIDER = 1.5
TIMED_STEPS = 6
"""Optimizer steps that are timed, after one that is not."""
PLAN = "plan.json"
MARGIN = 0.9
"""Of the time is planned with: the rest is for what takes longer than it did when it was timed."""


@dataclass(frozen=True, kw_only=True)
class EpochSeconds:
    """What an epoch of a configuration takes here."""

    train: float
    """On the train part."""
    validation: float
    every: float
    """On all labelled images."""


Cost = Callable[[TrialConfig], EpochSeconds | None]


@dataclass(frozen=True, kw_only=True)
class TimePlan:
    """A finalist that fits, with the final training that repeats it, into some time."""

    config: TrialConfig
    seconds: float
    """Estimate for both."""


def timed(facts: StudyFacts, config: TrialConfig, micro_batches: int, device: torch.device) -> EpochSeconds | None:
    """Train a few steps and validate on a few images, and reckon from that.

    In more micro-batches where memory does not suffice; None if it does not for single images.
    """
    data = facts.data
    train = data.train_part(facts.settings.train_fraction)
    batch = min(config.training.batch_size, len(train))

    def trained(steps: int) -> float:
        part = np.resize(train, batch * steps)
        training = Training(config, data, part, device, micro_batches=micro_batches)
        return training.train_epoch(1).seconds / steps

    a_step = None
    while a_step is None:
        try:
            trained(1)
            a_step = trained(TIMED_STEPS)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if micro_batches >= batch:
                return None
            micro_batches *= 2
    validation = data.split["val"]
    few = validation[: max(1, min(len(validation), batch * TIMED_STEPS))]
    training = Training(config, data, train[:batch], device)
    started = time.perf_counter()
    evaluate(training.model, data, few, device=device, bf16=uses_bf16(config.training.precision, device))
    an_image = (time.perf_counter() - started) / len(few)
    return EpochSeconds(
        train=a_step * steps_of(len(train), batch),
        validation=an_image * len(validation),
        every=a_step * steps_of(len(data.images), batch),
    )


def plan_time(config: TrialConfig, seconds: float, cost: Cost) -> TimePlan | None:
    """The finalist for so much time; None where it would not be longer than a trial.

    Args:
        config: of the best trial.
        seconds: for the finalist and the final training together.
        cost: of an epoch of a configuration; None for one that does not fit into memory.
    """
    seconds *= MARGIN
    wide = dataclasses.replace(config, model=dataclasses.replace(config.model, width=round(WIDER * config.model.width)))
    for candidate in (wide, config):
        if (each := cost(candidate)) is None:
            continue
        an_epoch = each.train + each.validation + each.every
        affordable = int(seconds / an_epoch)
        longest = int(LONGEST * config.training.max_epochs)
        if candidate is wide and affordable < longest / 2:
            continue
        length = min(affordable, longest)
        if length < SHORTEST * config.training.max_epochs:
            return None
        training = dataclasses.replace(candidate.training, max_epochs=length, patience=length)
        return TimePlan(config=dataclasses.replace(candidate, training=training), seconds=length * an_epoch)
    return None


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """What became of it."""

    config: TrialConfig
    reports: tuple[EpochReport, ...]

    @property
    def diverged(self) -> bool:
        return self.reports[-1].diverged

    def plan(self, facts: StudyFacts, trial: TrialRecord) -> RetrainPlan:
        """The final training that repeats it on all labelled images."""
        images = len(facts.data.train_part(facts.settings.train_fraction))
        return repeating(trial, self.config, self.reports, images=images)


def recorded(facts: StudyFacts, trial: TrialRecord) -> TrialConfig | None:
    """What an earlier report planned for that trial, whose training a later one continues; None if none did."""
    path = _folder(facts, trial) / PLAN
    if not path.exists():
        return None
    try:
        planned = parse_json(read_text(path))
        if planned["of"] == trial.config:
            return TrialConfig.from_flat(planned["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no plan of a finalist ({error!r}); delete the folder") from error
    return None


def record(facts: StudyFacts, trial: TrialRecord, config: TrialConfig) -> None:
    """Write the plan down; checkpoints that belong to another one go."""
    finalist_store(facts, trial).keep()
    folder = _folder(facts, trial)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{PLAN}.tmp"
    temporary.write_text(json.dumps({"of": trial.config, "config": config.to_flat()}))
    temporary.replace(folder / PLAN)


def finalist_store(facts: StudyFacts, trial: TrialRecord) -> CheckpointStore:
    return CheckpointStore(str(_folder(facts, trial)))


def finished_epochs(facts: StudyFacts, trial: TrialRecord) -> int:
    """Epochs of the finalist that an earlier report came to."""
    try:
        saved = finalist_store(facts, trial).load("last")
        return 0 if saved is None else len(saved["history"])
    except (DamagedCheckpoint, KeyError, TypeError):
        return 0


def _folder(facts: StudyFacts, trial: TrialRecord) -> Path:
    return facts.output / "finalist" / f"{trial.number:04d}"


def train_finalist(
    facts: StudyFacts,
    trial: TrialRecord,
    config: TrialConfig,
    checkpoints: CheckpointStore,
    on_epoch: Callable[[EpochReport], None],
) -> Finalist:
    """Train it, or resume it after its last finished epoch; `on_epoch` is called after each, repeated ones too."""
    reports = []
    for report in in_parts(
        config,
        facts.data,
        train=facts.data.train_part(facts.settings.train_fraction),
        validation=facts.data.split["val"],
        checkpoints=checkpoints,
        micro_batches=trial.micro_batches,
    ):
        reports.append(report)
        on_epoch(report)
    return Finalist(config=config, reports=tuple(reports))
