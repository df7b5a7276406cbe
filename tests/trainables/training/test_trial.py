from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.errors import NodeMismatchError, OutOfMemory
from trainables.messages import TrialRequest
from trainables.training import trial
from trainables.training.checkpoint_store import stored_trials
from trainables.training.trial import TrialTask


@pytest.fixture
def one_trial(tiny_npz, tiny_config, tmp_path):
    source, root = DataSource(uri=str(tiny_npz)), str(tmp_path / "checkpoints")
    ours = prepare(source).fingerprint

    def run(fingerprint=ours, **request):
        request = TrialRequest(number=7, config=tiny_config.to_flat(), **request)
        return TrialTask(source=source, fingerprint=fingerprint, checkpoints=root)(request)

    return run


def test_it_reports_every_epoch_and_keeps_checkpoints_under_its_number(one_trial, tmp_path):
    assert [report.epoch for report in one_trial()] == [1, 2, 3, 4]
    assert [report.epoch for report in one_trial(reported_epochs=3)] == [4]
    assert stored_trials(str(tmp_path / "checkpoints")) == {7}
    assert stored_trials(str(tmp_path / "nowhere")) == set()


def test_other_data_under_the_same_name_trains_nothing(one_trial, tmp_path):
    with pytest.raises(NodeMismatchError, match=r"tiny\.npz on .* is not the data that the run started with"):
        list(one_trial(fingerprint="of other data"))
    assert stored_trials(str(tmp_path / "checkpoints")) == set()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_every_way_to_run_out_of_memory_is_told_as_one(error, one_trial, monkeypatch):
    def epochs(*_, micro_batches, **__):
        assert micro_batches == 2
        yield from ()
        raise error

    monkeypatch.setattr(trial, "epochs", epochs)
    with pytest.raises(OutOfMemory, match="in 2 micro-batches"):
        list(one_trial(micro_batches=2))


def test_other_errors_stay_what_they_are(one_trial, monkeypatch):
    def epochs(*_, **__):
        yield from ()
        raise RuntimeError("a bug")

    monkeypatch.setattr(trial, "epochs", epochs)
    with pytest.raises(RuntimeError, match="a bug") as raised:
        list(one_trial())
    assert not isinstance(raised.value, OutOfMemory)


def test_a_fraction_of_the_train_part_is_trained_on_and_the_validation_part_chooses(
    tiny, tiny_npz, tiny_config, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(trial, "epochs", lambda *given, **named: (asked.append((given, named)), iter(["a report"]))[1])
    source, fingerprint, root = DataSource(uri=str(tiny_npz)), tiny.fingerprint, str(tmp_path)
    request = TrialRequest(number=12, config=tiny_config.to_flat(), reported_epochs=3, micro_batches=2)
    for fraction in (0.5, 1.0):
        named = {} if fraction == 1.0 else {"train_fraction": fraction}
        reports = TrialTask(source=source, fingerprint=fingerprint, checkpoints=root, **named)(request)
        assert list(reports) == ["a report"]
        (config, data), called = asked.pop()
        assert (config, data.fingerprint) == (TrialConfig.from_flat(tiny_config.to_flat()), fingerprint)
        np.testing.assert_array_equal(called["train"], tiny.train_part(fraction))
        np.testing.assert_array_equal(called["validation"], tiny.split["val"])
        assert called["checkpoints"].location == f"{root}/0012"
        assert (called["reported_epochs"], called["micro_batches"]) == (3, 2)
    assert len(tiny.train_part(0.5)) == len(tiny.split["train"]) / 2


def test_a_process_maps_the_data_once_for_all_its_trials(one_trial, monkeypatch):
    mapped = []
    monkeypatch.setattr(trial, "epochs", lambda _, data, **__: (mapped.append(data), iter(()))[1])
    for _ in range(2):
        list(one_trial())
    assert mapped[0] is mapped[1]


@pytest.mark.parametrize("error", [None, RuntimeError("a bug"), MemoryError()])
def test_memory_is_given_back_however_a_trial_ends(error, one_trial, monkeypatch):
    given_back = []

    def epochs(*_, **__):
        yield "a report"
        assert not given_back
        if error is not None:
            raise error

    monkeypatch.setattr(trial, "epochs", epochs)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(True))
    reports = one_trial()
    assert next(reports) == "a report"
    with pytest.raises((RuntimeError, StopIteration)):
        next(reports)
    assert given_back == [True]


def test_only_folders_that_are_numbers_are_trials(tmp_path):
    for name in ("0000", "0012", "12345", "best", "0003.partial"):
        (tmp_path / name).mkdir()
    Path(tmp_path / "0004").write_text("a file")
    assert stored_trials(str(tmp_path)) == {0, 12, 12345}
