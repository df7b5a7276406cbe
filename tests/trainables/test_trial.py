from __future__ import annotations

import pytest
import torch

from trainables import trial
from trainables.data import DataSource, prepare
from trainables.failures import OutOfMemory, UnfitNode
from trainables.launchers import TrialRequest
from trainables.trial import run_trial, stored_trials


@pytest.fixture
def one_trial(tiny_npz, tiny_config, tmp_path):
    source, root = DataSource(uri=str(tiny_npz)), str(tmp_path / "checkpoints")
    ours = prepare(source).fingerprint

    def run(fingerprint=ours, **request):
        request = TrialRequest(number=7, config=tiny_config.to_flat(), **request)
        return run_trial(request, source=source, fingerprint=fingerprint, checkpoints=root)

    return run


def test_it_reports_every_epoch_and_keeps_checkpoints_under_its_number(one_trial, tmp_path):
    assert [report.epoch for report in one_trial()] == [1, 2, 3, 4]
    assert [report.epoch for report in one_trial(told_epochs=3)] == [4]
    assert stored_trials(str(tmp_path / "checkpoints")) == {7}
    assert stored_trials(str(tmp_path / "nowhere")) == set()


def test_other_data_under_the_same_name_trains_nothing(one_trial, tmp_path):
    with pytest.raises(UnfitNode, match=r"tiny\.npz on .* is not the data that the run began with"):
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
