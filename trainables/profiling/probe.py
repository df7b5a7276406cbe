"""Measures the memory and speed of a configuration: a few training steps on the device of this process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.device import default_device
from trainables.memory_errors import is_out_of_memory
from trainables.messages import EpochReport
from trainables.prediction.predictor import EVALUATION_BATCH
from trainables.profiling.device_memory import device_memory
from trainables.training.resumable_training import epochs

STEPS = 16
"""Training steps per epoch of a probe: enough for the overhead of an epoch to be negligible."""
ENDLESS = 10**6
"""Length of the schedule and patience in epochs, so that a probe never ends by itself."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurements of one configuration alone on a device, with the fewest micro-batches that fit."""

    micro_batches: int
    memory: int
    """Peak memory of the whole process in bytes."""
    images_per_second: float
    """Training throughput after the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """The device that a probe runs on."""

    name: str
    memory: int
    """Total memory in bytes."""


class Probe:
    """Trains configurations on the device of this process, with the epoch loop of trials and short epochs.

    Args:
        source: source of the data set.
        cpus: CPUs of a trial, the number of threads.
    """

    def __init__(self, source: DataSource, cpus: float = 1):
        torch.set_num_threads(max(1, int(cpus)))  # as the launchers do
        self._data, self._memory = prepare(source), device_memory(default_device())
        self._running: Iterator[EpochReport] = iter(())

    def device(self) -> Device:
        """Return the device of this process."""
        return Device(name=self._memory.device, memory=self._memory.total)

    def measure(self, config: dict[str, Any], seconds: float) -> Measured | None:
        """Train for at least `seconds` after a first epoch, with the fewest micro-batches that fit.

        Returns:
            The measurements; None if not even micro-batches of a single image fit in memory.
        """
        batch_size = TrialConfig.from_flat(config).training.batch_size
        micro_batches = 1
        while micro_batches < 2 * batch_size:  # doubled on out of memory, as a search does
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
        """Start training a configuration and run its first epoch."""
        self._running = self._epochs(TrialConfig.from_flat(config), micro_batches)
        next(self._running)

    def rate(self, seconds: float) -> float:
        """Continue training for at least `seconds`. Returns training images per second."""
        images = trained_seconds = 0.0
        started = time.perf_counter()
        while time.perf_counter() < started + seconds or not images:
            report = next(self._running)
            images += report.images_per_second * report.train_seconds
            trained_seconds += report.train_seconds
        return images / trained_seconds

    def _epochs(self, config: TrialConfig, micro_batches: int) -> Iterator[EpochReport]:
        training = dataclasses.replace(config.training, max_epochs=ENDLESS, patience=ENDLESS)
        train, validation = self._data.split["train"], self._data.split["val"]
        fraction = STEPS * training.batch_size / int(self._data.crops(train).sum())
        few = np.searchsorted(self._data.crops(validation).cumsum(), EVALUATION_BATCH)  # images with about that many
        while True:  # a training that diverges ends, and is started again
            yield from epochs(
                dataclasses.replace(config, training=training),
                self._data,
                train=self._data.train_part(min(1.0, fraction)),
                validation=validation[: few + 1],
                micro_batches=micro_batches,
            )
