"""One trial of a search: from its request to its epoch reports. What a launcher runs."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator

import torch

from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.errors import NodeMismatchError, OutOfMemory
from trainables.messages import EpochReport, TrialRequest
from trainables.out_of_memory import is_out_of_memory
from trainables.training.checkpoints import checkpoint_store
from trainables.training.epoch_loop import epochs

# A trial process runs one trial after another: it maps the data once.
_prepared = functools.lru_cache(maxsize=1)(prepare)


def run_trial(
    request: TrialRequest, *, source: DataSource, fingerprint: str, checkpoints: str, train_fraction: float = 1.0
) -> Iterator[EpochReport]:
    """Train on a fraction of the train part, choose the best epoch on the validation part; resumable (see `epochs`).

    Raises:
        OutOfMemory: if the device has not enough memory.
        NodeMismatchError: if the data is not of that fingerprint here.
    """
    data: PreparedData = _prepared(source)
    if data.fingerprint != fingerprint:
        raise NodeMismatchError(f"{source.uri} on {platform.node()} is not the data that the run began with")
    try:
        yield from epochs(
            TrialConfig.from_flat(request.config),
            data,
            train=data.train_part(train_fraction),
            validation=data.split["val"],
            checkpoints=checkpoint_store(checkpoints, request.number),
            reported_epochs=request.reported_epochs,
            micro_batches=request.micro_batches,
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"in {request.micro_batches} micro-batches: {error}") from error
    finally:
        torch.cuda.empty_cache()  # the process may run another trial, beside others on the same device
