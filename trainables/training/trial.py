"""The task that a launcher runs for a trial: from its request to its epoch reports."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.errors import NodeMismatchError, OutOfMemory
from trainables.memory_errors import is_out_of_memory
from trainables.messages import EpochReport, TrialRequest
from trainables.prediction.metric import MEAN_IOU, Metric
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import epochs

# A process may run several trials, one after the other: it maps the data only once.
_prepared = functools.lru_cache(maxsize=1)(prepare)


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What every trial of a study needs beside its request; calling it trains a trial. It is a `Loop`.

    A trial is trained on a fraction of the train part, and its best epoch is chosen on the validation part.
    """

    source: DataSource
    """The data set."""
    fingerprint: str
    """Fingerprint of the driver's data set."""
    checkpoints: str
    """Root path or URI of the study's checkpoints."""
    train_fraction: float = 1.0
    """Fraction of the train part, in (0, 1]."""
    metric: Metric = MEAN_IOU
    """The score of the trials."""

    def __call__(self, request: TrialRequest) -> Iterator[EpochReport]:
        """Train a trial and yield its epochs; it resumes after its last checkpoint, see `epochs`.

        Raises:
            OutOfMemory: if the device runs out of memory.
            NodeMismatchError: if the data on this node has another fingerprint.
        """
        data: PreparedData = _prepared(self.source)
        if data.fingerprint != self.fingerprint:
            raise NodeMismatchError(f"{self.source.uri} on {platform.node()} is not the data that the run started with")
        try:
            yield from epochs(
                TrialConfig.from_flat(request.config),
                data,
                train=data.train_part(self.train_fraction),
                validation=data.split["val"],
                checkpoints=checkpoint_store(self.checkpoints, request.number),
                reported_epochs=request.reported_epochs,
                micro_batches=request.micro_batches,
                metric=self.metric,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(f"in {request.micro_batches} micro-batches: {error}") from error
        finally:
            torch.cuda.empty_cache()  # this process may run another trial, and other processes share the device
