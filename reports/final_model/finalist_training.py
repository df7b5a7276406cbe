"""The finalist: the best configuration, trained for longer and with a wider network as far as the report's time allows.

A search finds its best configuration with many short trials. The remaining time is for one long training of that
configuration, on the train part and judged on the validation part as every trial is, with the configuration's own
schedule over the whole length. If time is left, the final training then repeats it on all labelled images, which are a
quarter more. A short training gains more from twice the epochs than from these images, so the length comes first:

- If LONGEST times the epochs of a trial fit twice (with the repetition), the finalist is as long as fits twice. It is
  WIDER times as wide, at about WIDER² times the cost, if LONGEST times the epochs of a trial still fit twice.
- Otherwise the finalist takes all the time, and its weights are used as they are.
- If less than SHORTEST times the epochs of a trial fit, there is no finalist: the search's own weights stay.
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

from reports.final_model.retrain_plan import RetrainPlan, repeating
from reports.final_model.retraining import in_parts
from reports.inputs import StudyFacts
from search.foreign_files import parse_json, read_text
from search.ledger.costs import LONGEST
from search.ledger.records import TrialRecord
from trainables.atomic_write import atomic_write
from trainables.config import TrialConfig
from trainables.data.batches import steps_of
from trainables.device import uses_bf16
from trainables.memory_errors import is_out_of_memory
from trainables.messages import EpochReport
from trainables.training.checkpoint_store import CheckpointStore, DamagedCheckpoint
from trainables.training.evaluation import evaluate
from trainables.training.trainer import Training

SHORTEST = 1.25
WIDER = 1.5
MOST = WIDER**2
"""How many times LONGEST the epochs of a trial a finalist may have."""
TIMED_STEPS = 6
"""Number of optimizer steps that are timed, after one that is not."""
PLAN = "plan.json"
MARGIN = 0.9
"""Part of the time that is planned; the rest is a reserve for epochs that take longer than estimated."""


@dataclass(frozen=True, kw_only=True)
class EpochSeconds:
    """Seconds of an epoch of a configuration on this machine."""

    train: float
    """Seconds of training on the train part."""
    validation: float
    every: float
    """Seconds of training on all labelled images."""


Cost = Callable[[TrialConfig], EpochSeconds | None]


def timed(facts: StudyFacts, config: TrialConfig, micro_batches: int, device: torch.device) -> EpochSeconds | None:
    """Estimate the seconds of an epoch from a few training steps and a few validation images.

    If memory runs out, batches are split into more micro-batches. Returns None if even single images do not fit.
    """
    data = facts.data
    train, everything = data.train_part(facts.settings.train_fraction), np.arange(len(data.images))
    crops = int(data.crops(train).sum())  # one of each image that is not cropped
    batch = min(config.training.batch_size, crops)

    def trained(steps: int) -> float:
        part = np.resize(train, max(1, batch * steps * len(train) // crops))
        training = Training(config, data, part, device, micro_batches=micro_batches)
        return training.train_epoch(1).seconds / training.batches.steps

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
    each = data.crops(validation)
    few = validation[: 1 + int((each.cumsum()[:-1] < batch * TIMED_STEPS).sum())]
    training = Training(config, data, train[:batch], device)
    started = time.perf_counter()
    evaluate(training.model, data, few, device=device, bf16=uses_bf16(config.training.precision, device))
    a_crop = (time.perf_counter() - started) / each[: len(few)].sum()
    return EpochSeconds(
        train=a_step * steps_of(crops, batch),
        validation=a_crop * each.sum(),
        every=a_step * steps_of(int(data.crops(everything).sum()), batch),
    )


def plan_time(config: TrialConfig, seconds: float, cost: Cost) -> TrialConfig | None:
    """Return the configuration of the finalist that fits into the time; None if none fits that is long enough.

    Args:
        config: configuration of the best trial.
        seconds: time for the finalist and, if both fit, the final training.
        cost: returns the seconds of an epoch of a configuration; None for one that does not fit into memory.
    """
    seconds *= MARGIN
    longest = int(LONGEST * config.training.max_epochs)
    wide = dataclasses.replace(config, model=dataclasses.replace(config.model, width=round(WIDER * config.model.width)))
    if (each := cost(config)) is None:
        return None
    twice = int(seconds / (each.train + each.validation + each.every))
    if twice < longest:
        return _lasting(config, int(seconds / (each.train + each.validation)))
    if (each := cost(wide)) is not None:
        wide_twice = int(seconds / (each.train + each.validation + each.every))
        if wide_twice >= longest:
            return _lasting(wide, min(wide_twice, int(MOST * longest)))
    return _lasting(config, min(twice, int(MOST * longest)))


def _lasting(config: TrialConfig, length: int) -> TrialConfig | None:
    """Return the configuration with that number of epochs, without early stopping; None if it is too short."""
    if length < SHORTEST * config.training.max_epochs:
        return None
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, max_epochs=length, patience=length)
    )


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A finalist that has been trained."""

    config: TrialConfig
    reports: tuple[EpochReport, ...]

    @property
    def diverged(self) -> bool:
        return self.reports[-1].diverged

    def plan(self, facts: StudyFacts, trial: TrialRecord) -> RetrainPlan:
        """Return the plan of the final training, which repeats this one on all labelled images."""
        crops = facts.data.crops(facts.data.train_part(facts.settings.train_fraction)).sum()
        return repeating(trial, self.config, self.reports, images=int(crops))


def recorded(facts: StudyFacts, trial: TrialRecord) -> TrialConfig | None:
    """Return the finalist that an earlier report planned for that trial; None if there is none.

    A later report continues its training.
    """
    path = _folder(facts, trial) / PLAN
    if not path.exists():
        return None
    try:
        planned = parse_json(read_text(path))
        if planned["of"] == trial.config:
            return TrialConfig.from_flat(planned["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not the plan of a finalist ({error!r}); delete the folder") from error
    return None


def record(facts: StudyFacts, trial: TrialRecord, config: TrialConfig) -> None:
    """Record the plan, and delete the checkpoints of an earlier one."""
    finalist_store(facts, trial).keep()
    folder = _folder(facts, trial)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / PLAN) as new:
        new.write_text(json.dumps({"of": trial.config, "config": config.to_flat()}), encoding="utf-8")


def finalist_store(facts: StudyFacts, trial: TrialRecord) -> CheckpointStore:
    return CheckpointStore(str(_folder(facts, trial)))


def finished_epochs(facts: StudyFacts, trial: TrialRecord) -> int:
    """Return the number of epochs of the finalist that earlier reports finished."""
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
    """Train the finalist, or resume it after its last finished epoch.

    `on_epoch` is called for each epoch, also for those that were finished earlier.
    """
    reports = []
    for report in in_parts(
        config,
        facts.data,
        train=facts.data.train_part(facts.settings.train_fraction),
        validation=facts.data.split["val"],
        checkpoints=checkpoints,
        micro_batches=trial.micro_batches,
        metric=facts.metric,
    ):
        reports.append(report)
        on_epoch(report)
    return Finalist(config=config, reports=tuple(reports))
