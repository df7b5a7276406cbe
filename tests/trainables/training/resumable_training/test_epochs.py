from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from trainables.config import TrialConfig
from trainables.losses.config import LossConfig
from trainables.messages import EpochReport
from trainables.optim.schedules import SCHEDULES, ScheduleConfig
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.evaluation import evaluate
from trainables.training.resumable_training import epochs, load_best
from trainables.training.trainer import Training

TIMES = ("images_per_second", "train_seconds", "val_seconds", "checkpoint_seconds", "restored")


def run(config, data, **changes):
    arguments = {"train": data.split["train"], "validation": data.split["val"]} | changes
    return epochs(config, data, **arguments)


def timeless(reports):
    return [{key: value for key, value in report.to_dict().items() if key not in TIMES} for report in reports]


def with_training(config, **changes):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))


def test_training_learns_and_ends_by_itself(tiny, tiny_config):
    config = with_training(tiny_config, max_epochs=30, ema_decay=None)
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, lr=3e-2))
    reports = list(run(config, tiny))
    assert [report.epoch for report in reports] == list(range(1, 31))
    assert [report.ended for report in reports] == [None] * 29 + ["max_epochs"]
    assert reports[-1].mean_iou > 0.8 > reports[0].mean_iou
    assert set(reports[-1].class_iou) == {"low", "middle", "high"}
    assert reports[-1].best_score == max(report.mean_iou for report in reports)


def test_the_same_seed_gives_the_same_reports_and_another_does_not(tiny, tiny_config):
    first, again = (timeless(run(tiny_config, tiny)) for _ in range(2))
    assert first == again
    assert timeless(run(with_training(tiny_config, seed=1), tiny)) != first


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Reports and checkpoints of a whole run; one for each schedule."""
    runs = {}

    def undisturbed(config, data):
        if config.schedule.name not in runs:
            store = CheckpointStore(str(tmp_path_factory.mktemp("whole")))
            runs[config.schedule.name] = timeless(run(config, data, checkpoints=store)), store
        return runs[config.schedule.name]

    return undisturbed


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_trial_ends_as_an_undisturbed_one(schedule, stop, tiny, tiny_config, tmp_path, undisturbed):
    config = dataclasses.replace(tiny_config, schedule=ScheduleConfig(name=schedule))
    expected, whole = undisturbed(config, tiny)

    store = CheckpointStore(str(tmp_path / "resumed"))
    first = list(itertools.islice(run(config, tiny, checkpoints=store), stop))
    rest = list(run(config, tiny, checkpoints=store, reported_epochs=stop))
    assert timeless(first + rest) == expected
    assert not any(report.restored for report in first + rest)
    for name in ("last", "best"):
        one, other = whole.load(name), store.load(name)
        model = one["model"] if name == "best" else one["training"]["model"]
        resumed = other["model"] if name == "best" else other["training"]["model"]
        assert all(torch.equal(model[key], resumed[key]) for key in model)


def test_an_epoch_that_was_saved_but_never_told_is_told_on_resume(tiny, tiny_config, tmp_path):
    store = CheckpointStore(str(tmp_path))
    expected = timeless(run(tiny_config, tiny, checkpoints=store))
    restored = list(run(tiny_config, tiny, checkpoints=store, reported_epochs=2))
    assert timeless(restored) == expected[2:]
    assert all(report.restored for report in restored)
    assert timeless(run(tiny_config, tiny, checkpoints=store, reported_epochs=4)) == []


def test_checkpoints_of_something_else_are_refused(tiny, tiny_config, tmp_path):
    store = CheckpointStore(str(tmp_path))
    next(run(tiny_config, tiny, checkpoints=store))
    with pytest.raises(ValueError, match="another configuration or data set"):
        next(run(with_training(tiny_config, seed=5), tiny, checkpoints=store))


def test_best_holds_the_weights_of_the_best_epoch(tiny, tiny_config, tmp_path):
    store = CheckpointStore(str(tmp_path))
    reports = list(run(with_training(tiny_config, max_epochs=6), tiny, checkpoints=store))
    model = load_best(store, tiny, torch.device("cpu"))
    scores = evaluate(model, tiny, tiny.split["val"], device=torch.device("cpu"), bf16=False)
    assert scores.mean_iou == reports[-1].best_score
    assert store.load("best")["epoch"] == reports[-1].best_epoch


def test_there_is_no_best_model_before_the_first_epoch(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"holds no best\.pt"):
        load_best(CheckpointStore(str(tmp_path)), tiny, torch.device("cpu"))


def test_early_stopping(tiny, tiny_config):
    config = with_training(tiny_config, max_epochs=50, patience=2)
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, lr=1e-12))
    reports = list(run(config, tiny))
    assert reports[-1].ended == "early_stopping"
    assert reports[-1].epoch - reports[-1].best_epoch == 2


def test_a_trial_that_diverges_ends_and_says_so(tiny, tiny_config):
    config = with_training(tiny_config, ema_decay=None, grad_clip=1e30)
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, lr=1e30))
    reports = list(run(config, tiny))
    assert reports[-1].ended == "diverged"
    assert reports[-1].diverged
    assert not reports[-1].is_finite()


def test_training_without_validation_has_no_scores_and_keeps_the_newest_weights(tiny, tiny_config, tmp_path):
    store = CheckpointStore(str(tmp_path))
    reports = list(run(tiny_config, tiny, validation=None, checkpoints=store))
    assert [report.ended for report in reports] == [None, None, None, "max_epochs"]
    assert {(report.mean_iou, report.val_loss, report.best_score) for report in reports} == {(None, None, None)}
    assert store.load("best")["epoch"] == 4


def test_reports_survive_their_dict_form(tiny, tiny_config):
    report = next(run(tiny_config, tiny))
    assert EpochReport.from_dict(report.to_dict() | {"trial_id": "added by Tune"}) == report


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"ema_decay": None}])
def test_precision_and_average_are_used(changes, tiny, tiny_config):
    assert timeless(run(with_training(tiny_config, **changes), tiny)) != timeless(run(tiny_config, tiny))


def test_data_without_an_ignored_label(tmp_path):
    import numpy as np

    from trainables.data import DataSource, prepare

    rng = np.random.default_rng(1)
    masks = np.repeat(rng.integers(0, 2, (12, 8, 1)), 8, axis=2)
    pairs = np.stack([masks * 200, masks], axis=1).astype(np.uint8)
    np.savez(tmp_path / "two.npz", training_set=pairs, class_names=np.array(["dark", "bright"]))
    data = prepare(DataSource(uri=str(tmp_path / "two.npz")))
    for loss in ("cross_entropy", "weighted_cross_entropy", "focal", "dice"):
        config = TrialConfig.from_flat(
            {"loss.name": loss, "model.depth": 2, "model.width": 4, "training.max_epochs": 1}
        )
        (report,) = run(dataclasses.replace(config, loss=LossConfig(name=loss)), data)
        assert set(report.class_iou) == {"dark", "bright"}


@pytest.mark.parametrize("micro_batches", [3, 8, 100])
def test_micro_batches_have_the_gradient_of_the_whole_batch(micro_batches, tiny, tiny_config):
    """Batch statistics aside: the running ones are used, as in evaluation."""
    config = dataclasses.replace(tiny_config, model=dataclasses.replace(tiny_config.model, dropout=0.0))
    gradients, losses = [], []
    for parts in (1, micro_batches):
        training = Training(config, tiny, tiny.split["train"], torch.device("cpu"), micro_batches=parts)
        training.model.eval()
        images, masks = next(training.batches.shuffled(0, 1))
        losses.append(training._backward(images, masks))
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in training.model.parameters()]))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_a_trial_in_micro_batches_trains_as_far(tiny, tiny_config):
    whole, parts = (list(run(tiny_config, tiny, micro_batches=count)) for count in (1, 2))
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=0.1)
