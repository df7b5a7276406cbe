"""The final training: a trial's training repeated on all labelled images, as its plan says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reports.final_model.retrain_plan import RetrainPlan
from reports.inputs import StudyFacts
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.memory_errors import is_out_of_memory
from trainables.messages import EpochReport
from trainables.prediction.metric import MEAN_IOU, Metric
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import epochs
from trainables.training.stages import Stage


def retrain_store(facts: StudyFacts, plan: RetrainPlan) -> CheckpointStore:
    """Return the place of a plan's checkpoints.

    Each plan has its own folder, so the final training starts anew if a continued study has found a better trial or
    epoch.
    """
    return CheckpointStore(str(facts.output / "retrain" / plan.name))


def check_store(facts: StudyFacts, plan: RetrainPlan) -> CheckpointStore:
    """Return the place of the checkpoints of shadow retraining, which is the same training on fewer images."""
    return CheckpointStore(str(facts.output / "retrain" / f"{plan.name}-check"))


def retrain(
    plan: RetrainPlan, data: PreparedData, checkpoints: CheckpointStore, indices: np.ndarray | None = None
) -> Iterator[EpochReport]:
    """Train, and yield a report per epoch. Epochs that a stopped run finished are reported again, but not repeated.

    Args:
        plan: the training to repeat.
        data: data of the study.
        checkpoints: where checkpoints are saved, and where a stopped training resumes from.
        indices: (K,) indices of the images to train on; default: all labelled images.
    """
    return in_parts(
        plan.config,
        data,
        train=np.arange(len(data.images)) if indices is None else indices,
        validation=None,
        checkpoints=checkpoints,
        micro_batches=plan.micro_batches,
        stages=plan.stages,
    )


def in_parts(
    config: TrialConfig,
    data: PreparedData,
    *,
    train: np.ndarray,
    validation: np.ndarray | None,
    checkpoints: CheckpointStore,
    micro_batches: int,
    stages: tuple[Stage, ...] | None = None,
    metric: Metric = MEAN_IOU,
) -> Iterator[EpochReport]:
    """Run `epochs`; if memory runs out, resume after the last finished epoch with twice as many micro-batches."""
    reported = 0
    while True:
        try:
            for report in epochs(
                config,
                data,
                train=train,
                validation=validation,
                checkpoints=checkpoints,
                reported_epochs=reported,
                micro_batches=micro_batches,
                stages=stages,
                metric=metric,
            ):
                reported = report.epoch
                yield report
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or micro_batches >= config.training.batch_size:
                raise
        micro_batches *= 2
