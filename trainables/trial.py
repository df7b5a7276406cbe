"""One trial of a search: from its request to its epoch reports. What a launcher runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from trainables.checkpoints import CheckpointStore, below
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.epoch_report import EpochReport
from trainables.epochs import epochs
from trainables.launchers import TrialRequest

# A trial process runs one trial after another: it maps the data once.
_prepared = functools.lru_cache(maxsize=1)(prepare)


def checkpoint_store(root: str, number: int) -> CheckpointStore:
    """Where the trial of that number keeps its checkpoints, below the study's root path or URI."""
    return CheckpointStore(below(root, f"{number:04d}"))


def run_trial(
    request: TrialRequest, *, source: DataSource, checkpoints: str, train_fraction: float = 1.0
) -> Iterator[EpochReport]:
    """Train on a fraction of the train part, choose the best epoch on the validation part; resumable (see `epochs`)."""
    data: PreparedData = _prepared(source)
    yield from epochs(
        TrialConfig.from_flat(request.config),
        data,
        train=data.train_part(train_fraction),
        validation=data.split["val"],
        checkpoints=checkpoint_store(checkpoints, request.number),
        told_epochs=request.told_epochs,
    )
