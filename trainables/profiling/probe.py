"""A few steps of a configuration on this process's device, as a trial makes them: what they take, and how fast."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.device import default_device
from trainables.messages import EpochReport
from trainables.out_of_memory import is_out_of_memory
from trainables.profiling.device_memory import device_memory
from trainables.training.epoch_loop import epochs
from trainables.training.evaluation import EVALUATION_BATCH

STEPS = 16
"""Of an epoch: enough that what an epoch adds to its steps hardly counts."""
ENDLESS = 10**6
"""Epochs of a schedule and of the patience, so that no probe comes to its end."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One configuration alone on a device, in the fewest parts of a batch that fit."""

    micro_batches: int
    memory: int
    """Bytes at the peak, with all that the process takes."""
    images_per_second: float
    """In training, after the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where a probe runs."""

    name: str
    memory: int
    """Bytes in all."""


class Probe:
    """Trains configurations on this process's device by the trials' own epoch loop, in short epochs.

    Args:
        source: of the data set.
        cpus: of a trial.
    """

    def __init__(self, source: DataSource, cpus: float = 1):
        torch.set_num_threads(max(1, int(cpus)))  # as the launchers do
        self._data, self._memory = prepare(source), device_memory(default_device())
        self._running: Iterator[EpochReport] = iter(())

    def device(self) -> Device:
        return Device(name=self._memory.device, memory=self._memory.total)

    def measure(self, config: dict[str, Any], seconds: float) -> Measured | None:
        """Train for at least so long after a first epoch, in as many parts of a batch as it takes.

        None if the device has not enough memory, also for single images at a time.
        """
        batch_size = TrialConfig.from_flat(config).training.batch_size
        micro_batches = 1
        while micro_batches < 2 * batch_size:  # as a search does it with a trial
            self._memory.reset()
            try:
                self.warm_up(config, micro_batches)
                images_per_second = self.rate(seconds)
                memory = self._memory.peak()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                micro_batches *= 2
            else:
                return Measured(micro_batches=micro_batches, memory=memory, images_per_second=images_per_second)
            finally:
                self._running = iter(())
        return None

    def warm_up(self, config: dict[str, Any], micro_batches: int = 1) -> None:
        """Begin with a configuration and train its first epoch."""
        self._running = self._epochs(TrialConfig.from_flat(config), micro_batches)
        next(self._running)

    def rate(self, seconds: float) -> float:
        """Go on for at least so long. Returns training images a second."""
        images = trained_seconds = 0.0
        started = time.perf_counter()
        while time.perf_counter() < started + seconds or not images:
            report = next(self._running)
            images += report.images_per_second * report.train_seconds
            trained_seconds += report.train_seconds
        return images / trained_seconds

    def _epochs(self, config: TrialConfig, micro_batches: int) -> Iterator[EpochReport]:
        training = dataclasses.replace(config.training, max_epochs=ENDLESS, patience=ENDLESS)
        fraction = STEPS * training.batch_size / len(self._data.split["train"])
        while True:  # one that diverges ends, and begins anew
            yield from epochs(
                dataclasses.replace(config, training=training),
                self._data,
                train=self._data.train_part(min(1.0, fraction)),
                validation=self._data.split["val"][:EVALUATION_BATCH],
                micro_batches=micro_batches,
            )
