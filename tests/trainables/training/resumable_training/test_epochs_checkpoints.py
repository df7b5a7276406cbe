"""What the epoch loop saves, and that a trial that is killed anywhere goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.made.scripted_training import Killed, Script, ScriptedStore
from trainables import distributed
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.models import build_model
from trainables.models.config import ModelConfig
from trainables.training import resumable_training as loop
from trainables.training.resumable_training import epochs, load_best, read_best

# The first stage ends early after epoch 4, the second begins from epoch 2's weights, its best epoch is 6.
SCORES = [0.3, 0.5, 0.4, 0.4, 0.4, 0.6, 0.6, 0.5]
BEST = [1, 2, 2, 2, 2, 6, 6, 6]
CONFIG = TrialConfig.from_flat(
    {
        "training.max_epochs": 10,
        "training.patience": 2,
        "second_stage.name": "frozen_encoder",
        "second_stage.fraction": 0.5,
    }
)
DATA = SimpleNamespace(fingerprint="content-0", name="scripted")
TIMES = ("images_per_second", "train_seconds", "val_seconds", "checkpoint_seconds", "restored")


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """A trial with these scores, its store and its script; it trains while its reports are taken."""

    def begin(
        *, config=CONFIG, data=DATA, validation=True, scores=SCORES, killed_before=None, reported_epochs=0, **measured
    ):
        script = Script(scores, **measured)
        script.use(monkeypatch)
        store = ScriptedStore(str(tmp_path / "trial"), script, killed_before)
        part = np.arange(8, 10) if validation else None
        reports = epochs(
            config, data, train=np.arange(8), validation=part, checkpoints=store, reported_epochs=reported_epochs
        )
        return reports, store, script

    return begin


def timeless(reports):
    return [{key: value for key, value in report.to_dict().items() if key not in TIMES} for report in reports]


def path_in(store, name):
    saved = store.load(name)
    return int((saved["training"]["model"] if name == "last" else saved["model"])["path"])


def test_each_epoch_is_saved_before_it_is_reported_and_its_weights_after_it_if_it_is_the_best(begin):
    reports, store, _ = begin()
    expected = []
    for report, best in zip(reports, BEST, strict=True):
        expected += [("last", report.epoch)] + [("best", report.epoch)] * (best == report.epoch)
        assert store.saves == expected


def test_what_is_saved(begin):
    reports, store, _ = begin()
    reports = list(reports)
    identity = {"config": CONFIG.to_flat(), "data": "content-0"}
    told = [report.to_dict() for report in reports]
    assert store.load("best") == {
        "identity": identity,
        "epoch": 6,
        "model": {"path": torch.tensor(1256)},
        "reports": told[:6],
    }
    last = store.load("last")
    assert last["identity"] == identity
    assert last["history"] == told
    assert path_in(store, "last") == 125678


def test_without_validation_the_newest_weights_are_kept(begin):
    reports, store, _ = begin(validation=False)
    for report in itertools.islice(reports, 6):
        assert store.load("best")["epoch"] == report.epoch == report.best_epoch
    assert path_in(store, "best") == 123456


def test_a_report_tells_how_long_the_checkpoints_after_the_epoch_before_took(begin):
    reports, _, _ = begin()
    # 3 seconds for last.pt, and 2 for best.pt after epochs 1, 2 and 6
    assert [report.checkpoint_seconds for report in reports] == [0.0, 5.0, 5.0, 3.0, 3.0, 3.0, 5.0, 3.0]


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize(("diverges", "weights"), [(1, None), (2, 1), (3, 12)])
def test_an_epoch_that_diverges_leaves_the_best_weights_as_they_are(diverges, weights, validation, begin):
    """Also if its score is the highest, and also if the process ends before it can report that epoch."""
    norms = [math.inf if epoch == diverges else 0.5 for epoch in range(1, 9)]
    for reported_epochs in (0, diverges - 1):
        reports, store, _ = begin(scores=[0.1, 0.2, 0.3], gradient_norms=norms, validation=validation)
        report = list(reports)[-1]
        assert (report.ended, report.epoch, report.best_epoch) == ("diverged", diverges, diverges - 1)
        assert weights is None if store.load("best") is None else path_in(store, "best") == weights
        again, store, script = begin(validation=validation, reported_epochs=reported_epochs)
        assert list(again)[-1] == dataclasses.replace(report, restored=True)
        assert (store.saves, script.training.epoch) == ([], 0)


SAVES = len(SCORES) + 3


@pytest.mark.parametrize("killed_before", range(SAVES))
def test_a_trial_that_is_killed_between_any_two_writes_goes_on_as_an_undisturbed_one(killed_before, begin):
    expected = timeless(begin()[0])
    begin()[1].keep()

    reports, first, _ = begin(killed_before=killed_before)
    told = []
    with pytest.raises(Killed):
        told.extend(reports)  # what was given before counts
    assert len(first.saves) == killed_before
    reports, store, script = begin(reported_epochs=len(told))
    assert timeless(told) + timeless(reports) == expected
    assert path_in(store, "last") == 125678
    assert path_in(store, "best") == 1256
    assert store.load("best")["epoch"] == 6
    assert script.training.stage.name == "frozen_encoder"


@pytest.mark.parametrize("stop", range(1, len(SCORES) + 1))
def test_a_trial_that_is_stopped_after_any_epoch_goes_on_in_its_stage(stop, begin):
    expected = timeless(begin()[0])
    begin()[1].keep()
    reports, _, _ = begin()
    told = list(itertools.islice(reports, stop))
    reports, store, script = begin(reported_epochs=stop)
    assert timeless(told) + timeless(reports) == expected
    # A new training begins with the first stage; then comes that of the last saved epoch, and the next one in its turn.
    assert script.training.begun == [(1, None), *([(1, None), (2, 12)] if stop <= 4 else [(2, None)])]
    assert path_in(store, "best") == 1256


@pytest.mark.parametrize(("told", "given"), [(0, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [4, 5, 6, 7, 8]), (8, [])])
def test_a_trial_that_has_ended_trains_nothing_and_gives_what_was_not_told(told, given, begin):
    list(begin()[0])
    reports, store, script = begin(reported_epochs=told)
    assert [report.epoch for report in reports] == given
    assert store.saves == []
    assert script.training.epoch == 0


def test_a_best_file_of_an_earlier_epoch_is_replaced_on_resume(begin):
    reports, store, _ = begin()
    next(reports)
    older = store.load("best")
    next(reports)
    store.save("best", older)
    reports, store, _ = begin(reported_epochs=1)
    assert next(reports).epoch == 2
    assert store.saves == [("best", 2)]
    assert path_in(store, "best") == 12


def test_a_best_file_of_a_later_epoch_is_not_taken_for_that_of_the_best(begin):
    """As if the training had begun again because last.pt was damaged: best.pt is still that of the first time."""
    reports, store, _ = begin()
    list(itertools.islice(reports, 6))
    later = store.load("best")
    store.keep()
    list(itertools.islice(begin()[0], 3))  # the best epoch is 2
    store.save("best", later)
    reports, store, _ = begin(reported_epochs=3)
    assert next(reports).epoch == 4
    assert store.saves[:3] == [("last", 1), ("best", 1), ("last", 2)]
    assert path_in(store, "best") == 12


def test_a_best_file_that_is_as_it_should_be_is_not_written_again(begin):
    list(itertools.islice(begin()[0], 2))
    reports, store, _ = begin(reported_epochs=1)
    next(reports)
    assert store.saves == []


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("damage", ["last cut", "best cut", "best gone", "both cut", "last empty"])
def test_a_trial_whose_files_are_damaged_begins_again_to_the_same_end(damage, begin, tmp_path):
    expected = timeless(begin()[0])
    begin()[1].keep()
    told = list(itertools.islice(begin()[0], 4))  # the best epoch is 2: its weights are only in best.pt
    names, _, how = damage.partition(" ")
    for path in (tmp_path / "trial").glob("*.pt" if names == "both" else f"{names}.pt"):
        {"cut": cut, "gone": path.__class__.unlink, "empty": lambda path: path.write_bytes(b"")}[how](path)
    reports, store, script = begin(reported_epochs=4)
    first = next(reports)
    assert first.epoch == 5
    assert store.saves[:3] == [("last", 1), ("best", 1), ("last", 2)]
    assert timeless([*told, first, *reports]) == expected
    assert script.training.begun == [(1, None), (2, 12)]
    assert path_in(store, "last") == 125678
    assert path_in(store, "best") == 1256


def test_a_damaged_best_file_of_the_last_epoch_is_written_again(begin, tmp_path):
    list(itertools.islice(begin()[0], 2))
    cut(tmp_path / "trial" / "best.pt")
    reports, store, _ = begin(reported_epochs=1)
    assert next(reports).epoch == 2
    assert store.saves == [("best", 2)]
    assert path_in(store, "best") == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"config": dataclasses.replace(CONFIG, model=ModelConfig(depth=4))},
        {"data": SimpleNamespace(fingerprint="content-1", name="scripted")},
    ],
)
def test_checkpoints_of_another_configuration_or_data_set_are_refused(changes, begin):
    next(begin()[0])
    reports, store, _ = begin(**changes)
    with pytest.raises(ValueError, match="trial: holds checkpoints of another configuration or data set"):
        next(reports)
    assert store.saves == []
    assert next(begin()[0]).epoch == 1


def test_checkpoints_of_another_split_of_the_same_data_are_refused(begin, tiny, tiny_npz):
    next(begin(data=tiny)[0])
    other = prepare(DataSource(uri=str(tiny_npz), seed=1))
    with pytest.raises(ValueError, match="another configuration or data set"):
        next(begin(data=other)[0])


def test_without_a_store_nothing_is_saved_and_the_second_stage_still_starts_from_the_best_epoch(monkeypatch):
    script = Script(SCORES)
    script.use(monkeypatch)
    reports = list(epochs(CONFIG, DATA, train=np.arange(8), validation=np.arange(8, 10)))
    assert [report.best_epoch for report in reports] == BEST
    assert [report.checkpoint_seconds for report in reports] == [0.0] * 8
    assert script.training.begun == [(1, None), (2, 12)]


def test_only_the_first_rank_reads_and_writes(begin, monkeypatch):
    """The others go on from what it has read: epoch 5, after the second stage began, and then epoch 6."""
    list(itertools.islice(begin()[0], 5))
    reports, store, script = begin(reported_epochs=5)
    read = {name: store.load(name) for name in ("last", "best")}
    names = iter(["last", "best"])

    def from_first(own):
        assert own is None
        return read[next(names)]

    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setattr(distributed, "from_first", from_first)
    assert [report.epoch for report in reports] == [6, 7, 8]
    assert store.saves == []
    assert int(script.training.evaluated.path) == 125678


@pytest.fixture
def best_of(tiny):
    """A best.pt of an untrained model, as the loop saves it, and the model."""
    config = TrialConfig(model=ModelConfig(depth=2, width=4, background="joint"))
    model = build_model(config.model, in_channels=1, num_classes=4, ignored_label=0)
    identity = {"config": config.to_flat(), "data": tiny.fingerprint}
    return {"identity": identity, "epoch": 3, "model": model.state_dict()}, model.eval()


def test_the_best_model_is_built_as_its_configuration_says_and_predicts(best_of, tiny, tmp_path):
    store = ScriptedStore(str(tmp_path / "trial"), Script())
    saved, model = best_of
    store.save("best", saved)
    loaded = load_best(store, tiny, torch.device("cpu"))
    assert not any(part.training for part in loaded.modules())
    image = torch.rand(1, 1, 16, 24)
    torch.testing.assert_close(loaded(image), model(image))


def test_the_best_model_comes_with_the_reports_up_to_it(best_of, begin, tiny, tmp_path):
    store = ScriptedStore(str(tmp_path / "other"), Script())
    saved, _ = best_of
    store.save("best", saved)
    assert read_best(store, tiny, torch.device("cpu")).reports == ()
    reports = list(begin()[0])
    store.save("best", saved | {"reports": [report.to_dict() for report in reports[:6]]})
    assert read_best(store, tiny, torch.device("cpu")).reports == tuple(reports[:6])
    store.save("best", saved | {"reports": [{"epoch": 1}]})
    with pytest.raises(ValueError, match=r"other/best\.pt: not a checkpoint of a trial"):
        read_best(store, tiny, torch.device("cpu"))


def test_the_best_model_is_put_on_its_device(best_of, tiny, tmp_path, monkeypatch):
    store = ScriptedStore(str(tmp_path / "trial"), Script())
    store.save("best", best_of[0])
    read_to, placed = [], []
    load = store.load
    monkeypatch.setattr(store, "load", lambda name, device: (read_to.append(device), load(name))[1])
    monkeypatch.setattr(loop, "place", lambda model, device: (placed.append(device), model)[1])
    device = torch.device("meta")
    load_best(store, tiny, device)
    assert read_to == placed == [device]


def test_a_best_model_of_other_data_is_refused_by_name(best_of, tiny, tiny_npz, tmp_path):
    store = ScriptedStore(str(tmp_path / "trial"), Script())
    store.save("best", best_of[0])
    other = prepare(DataSource(uri=str(tiny_npz), seed=1))
    with pytest.raises(ValueError, match=r"trial/best\.pt: was trained on data other than tiny"):
        load_best(store, other, torch.device("cpu"))
