from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from tests.processes.probing import print_measured
from tests.processes.scripts import HANGS_AFTER, Fork
from trainables.data import DataSource, prepare
from trainables.models.config import ModelConfig
from trainables.profiling import probe
from trainables.profiling.footprint import footprint
from trainables.profiling.probe import Probe


@pytest.fixture
def prober(tiny_npz):
    return Probe(DataSource(uri=str(tiny_npz)))


def test_a_configuration_is_measured_as_it_trains(tiny_config, tiny_npz, tmp_path, logs):
    wide = dataclasses.replace(tiny_config, model=ModelConfig(depth=4, width=32))
    # In a process of its own, as a trial is: what other tests have taken and given back would hide what it takes.
    process = Fork(print_measured, [str(tiny_npz), tiny_config.to_flat(), wide.to_flat()], cwd=tmp_path, logs=logs)
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 0, errors
    small, large, memory = json.loads(output)
    assert small["micro_batches"] == large["micro_batches"] == 1
    weights = footprint(wide, prepare(DataSource(uri=str(tiny_npz)))).parameters
    assert small["memory"] + 16 * weights < large["memory"] < memory
    assert small["images_per_second"] > 0


def test_a_rate_covers_the_time_that_was_asked_for(prober, tiny_config):
    prober.warm_up(tiny_config.to_flat())
    assert prober.rate(0.2) > 0
    assert prober.rate(0.0) > 0  # and goes on: trials side by side begin together


def test_training_lasts_for_as_long_as_it_is_measured(tiny_config, prober):
    """Also where a trial has one epoch, or diverges in it."""
    short = dataclasses.replace(tiny_config.training, max_epochs=1, patience=1)
    steep = dataclasses.replace(tiny_config.optimizer, name="sgd", lr=1e30)
    config = dataclasses.replace(tiny_config, training=short, optimizer=steep)
    prober.warm_up(config.to_flat())
    for _ in range(4):
        assert prober.rate(0.0) > 0


@pytest.mark.parametrize(("fitting", "parts"), [(1, 1), (4, 4), (8, 8), (16, None)])
def test_what_does_not_fit_is_tried_in_parts_down_to_single_images(fitting, parts, prober, tiny_config, monkeypatch):
    real = probe.epochs

    def epochs(*arguments, micro_batches, **named):
        if micro_batches < fitting:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments, micro_batches=micro_batches, **named)

    monkeypatch.setattr(probe, "epochs", epochs)
    measured = prober.measure(tiny_config.to_flat(), 0.0)  # batches of 8
    assert (None if measured is None else measured.micro_batches) == parts


def test_a_network_that_no_memory_holds_does_not_fit(prober, tiny_config):
    huge = dataclasses.replace(tiny_config, model=ModelConfig(width=2**20))
    assert prober.measure(huge.to_flat(), 0.0) is None
    assert prober.measure(tiny_config.to_flat(), 0.0) is not None


def test_other_errors_stay_what_they_are(prober, tiny_config, monkeypatch):
    def epochs(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(probe, "epochs", epochs)
    with pytest.raises(RuntimeError, match="a bug"):
        prober.measure(tiny_config.to_flat(), 0.0)
