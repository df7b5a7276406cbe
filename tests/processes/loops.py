"""Loops that trials run instead of a training in tests of the engine.

A trial's process imports the module of its loop. This one therefore does without Optuna and other libraries that only a
driver needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from trainables import distributed
from trainables.errors import NodeMismatchError, OutOfMemory, StorageError
from trainables.messages import EpochReport, TrialRequest
from trainables.training.checkpoint_store import CheckpointStore, join_uri

EPOCHS = 4
"""Number of epochs of each trial, except in the two loops `sized` and `quick_trial`:"""
SIZED_EPOCHS = 12
QUICK_EPOCHS, QUICK_SECONDS = 9, 0.5


def epoch_report(epoch: int, score: float | None = 0.5, **changes: Any) -> EpochReport:
    """Return the report of an ordinary epoch."""
    values: dict[str, Any] = {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "val_loss": 0.7,
        "score": score,
        "mean_iou": score,
        "class_iou": {} if score is None else {"soil": score, "sand": score},
        "best_score": score,
        "best_epoch": epoch,
        "learning_rate": 1e-3,
        "gradient_norm": 0.4,
        "images_per_second": 100.0,
        "train_seconds": 1.0,
        "val_seconds": 0.1,
        "parameters": 1000,
    }
    return EpochReport(**values | changes)


def last(epoch: int, epochs: int = EPOCHS) -> str | None:
    return "max_epochs" if epoch == epochs else None


def steady(request: TrialRequest) -> Iterator[EpochReport]:
    """Each trial is a little better than the one before, so none is stopped."""
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        yield epoch_report(epoch, 0.1 + 0.01 * request.number, ended=last(epoch))


def falling(request: TrialRequest, *, epochs: int = EPOCHS) -> Iterator[EpochReport]:
    """Each trial is worse than the one before, so all but the first are stopped."""
    for epoch in range(request.reported_epochs + 1, epochs + 1):
        yield epoch_report(epoch, 0.9 - 0.1 * request.number, ended=last(epoch, epochs))


def troubled(request: TrialRequest) -> Iterator[EpochReport]:
    """Trial 0 raises an error, 1 is killed, 2 diverges, and the others complete."""
    if not request.reported_epochs:
        yield epoch_report(1, 0.5)
    if request.number == 0:
        raise RuntimeError("the disk caught fire")
    if request.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if request.number == 2:
        yield epoch_report(2, math.nan, ended="diverged")
        return
    yield epoch_report(2, 0.6, ended="max_epochs")


def shaken(request: TrialRequest) -> Iterator[EpochReport]:
    """Fails once after each of the first two epochs, in two ways; needs 2 micro-batches for the third."""
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        if epoch == 3 and request.micro_batches < 2:
            raise OutOfMemory("too big")
        yield epoch_report(epoch, 0.5, ended=last(epoch))
        if epoch == 1:
            raise RuntimeError("a loose cable")
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def hanging(request: TrialRequest) -> Iterator[EpochReport]:
    """The process of the first attempt stops (SIGSTOP) after two epochs."""
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        if epoch == 3 and request.reported_epochs == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        yield epoch_report(epoch, 0.5, ended=last(epoch))


def hanging_peer(folder: Path, request: TrialRequest) -> Iterator[EpochReport]:
    """The second worker of the first attempt writes down its process id after two epochs, and stops (SIGSTOP)."""
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        if epoch == 3 and request.reported_epochs == 0 and distributed.rank() == 1:
            (folder / "stopped").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
        yield epoch_report(epoch, 0.5, ended=last(epoch))


def hungry(request: TrialRequest) -> Iterator[EpochReport]:
    yield from ()
    raise OutOfMemory("never enough")


def without_storage(folder: Path, request: TrialRequest) -> Iterator[EpochReport]:
    """Trial 1 finds no storage after the first epoch of trial 0, which continues once the file `known` exists."""
    told, known = folder / "told", folder / "known"
    if request.number == 1:
        wait_for(told)
        raise StorageError("nobody answers")
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        if epoch > 1:
            wait_for(known)
        yield epoch_report(epoch, 0.5, ended=last(epoch))
        told.touch()


def misplaced(request: TrialRequest) -> Iterator[EpochReport]:
    yield from ()
    raise NodeMismatchError("b (10.0.0.2): --data: /mars.npz: no such file")


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.1)


def ranked(request: TrialRequest) -> Iterator[EpochReport]:
    """Better and worse trials alternate."""
    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        yield epoch_report(epoch, 0.3 + 0.1 * (request.number * 5 % 7) + 0.01 * epoch, ended=last(epoch))


def sized(request: TrialRequest, *, root: str) -> Iterator[EpochReport]:
    """Is saved and resumed as a real trial is. The training loss of an epoch is the number of workers that took part.

    It ends once the file `enough` exists, but not before SIZED_EPOCHS.
    """
    store = CheckpointStore(f"{root}/checkpoints/{request.number}")
    saved = distributed.from_first(store.load("last") if distributed.rank() == 0 else None)
    sizes = list(saved["sizes"]) if saved else []
    while True:
        for epoch in range(request.reported_epochs + 1, len(sizes) + 1):
            over = epoch >= SIZED_EPOCHS and distributed.any_of(Path(root, "enough").exists(), torch.device("cpu"))
            yield epoch_report(epoch, 0.5, train_loss=sizes[epoch - 1], ended="max_epochs" if over else None)
            if over:
                return
        request = TrialRequest(number=request.number, config={}, reported_epochs=len(sizes))
        time.sleep(0.5)
        sizes.append(float(distributed.all_sum(torch.ones(()))))
        if distributed.rank() == 0:
            store.save("last", {"sizes": sizes})


def quick_trial(request: TrialRequest, *, root: str) -> Iterator[EpochReport]:
    """Yields epochs whose scores depend on the configuration; they are saved and resumed as real ones are."""
    store = CheckpointStore(join_uri(root, f"{request.number:04d}"))
    saved = store.load("last")
    reached = 0 if saved is None else int(saved["epoch"])
    digest = hashlib.sha256(json.dumps(request.config, sort_keys=True).encode()).digest()
    for epoch in range(1, QUICK_EPOCHS + 1):
        if epoch > reached:
            time.sleep(QUICK_SECONDS)
            store.save("last", {"epoch": epoch})
        if epoch > request.reported_epochs:
            score = digest[0] / 256 * (1 - 0.8**epoch) + digest[epoch] / 5000
            yield epoch_report(epoch, score, ended="max_epochs" if epoch == QUICK_EPOCHS else None)
