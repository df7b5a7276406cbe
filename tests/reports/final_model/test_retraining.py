from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from reports.final_model.retraining import retrain, retrain_store
from tests.made.studies import epoch_report
from tests.reports.made_runs import best_plan
from trainables.config import TrialConfig
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import epochs


def test_the_plan_is_as_long_as_the_trial_up_to_its_best_epoch(facts):
    plan = best_plan(facts)
    assert plan.epochs == facts.best.best.epoch
    assert plan.config.model == type(plan.config).from_flat(facts.best.config).model


def finished(facts, config, stages, best):
    """The study's best trial replaced by one of that configuration whose epochs belonged to these stages."""
    reports = tuple(
        epoch_report(epoch, 0.9 if epoch == best else 0.5, stage=stage) for epoch, stage in enumerate(stages, 1)
    )
    record = dataclasses.replace(facts.best, config={**facts.best.config, **config}, reports=reports)
    records = [record if other.number == record.number else other for other in facts.records]
    return dataclasses.replace(facts, records=records)


@pytest.mark.parametrize("stage", [0, 2])
def test_an_epoch_of_a_stage_that_its_configuration_has_not_is_refused(stage, facts):
    study = finished(facts, {"training.max_epochs": 10}, [1, stage, 1], 3)
    with pytest.raises(ValueError, match=f"epoch 2 is of stage {stage}, but its configuration has 1 stage"):
        best_plan(study)


def test_it_trains_on_every_labelled_image(facts, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "reports.final_model.retraining.epochs", lambda *args, **kwargs: seen.append(kwargs) or iter(())
    )
    list(retrain(best_plan(facts), facts.data, retrain_store(facts, best_plan(facts))))
    assert np.array_equal(seen[0]["train"], np.arange(24))
    assert seen[0]["validation"] is None


def longer(plan, epochs=3, **changes):
    training = dataclasses.replace(plan.config.training, max_epochs=epochs, **changes)
    stages = (dataclasses.replace(plan.stages[0], epochs=epochs),)
    return dataclasses.replace(plan, config=dataclasses.replace(plan.config, training=training), stages=stages)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_training_goes_on_to_the_same_weights(stop, facts, tmp_path):
    plan = longer(best_plan(facts))
    whole, stopped = CheckpointStore(str(tmp_path / "a")), CheckpointStore(str(tmp_path / "b"))
    expected = [report.train_loss for report in retrain(plan, facts.data, whole)]
    list(itertools.islice(retrain(plan, facts.data, stopped), stop))
    again = list(retrain(plan, facts.data, stopped))
    assert [report.train_loss for report in again] == expected
    one, other = (store.load("best")["model"] for store in (whole, stopped))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_finished_training_is_not_repeated(facts, monkeypatch):
    plan = best_plan(facts)
    first = list(retrain(plan, facts.data, retrain_store(facts, best_plan(facts))))

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr("trainables.training.trainer.Training.train_epoch", never)
    again = list(retrain(plan, facts.data, retrain_store(facts, best_plan(facts))))
    assert again == [dataclasses.replace(report, restored=True) for report in first]


def test_it_follows_the_recorded_rates_stretched_over_its_steps(facts, tmp_path):
    plan = longer(best_plan(facts), epochs=2, batch_size=12)  # 24 images are 2 steps an epoch
    plan = dataclasses.replace(plan, stages=(dataclasses.replace(plan.stages[0], rates=(0.004, 0.002, 0.001)),))
    reports = list(retrain(plan, facts.data, CheckpointStore(str(tmp_path))))
    # steps 0 to 3 of 4 have the recorded rates 0, 0, 1 and 2, and it stays at the last one
    assert [report.learning_rate for report in reports] == [0.002, 0.001]


def test_the_same_images_seed_and_rates_make_the_same_weights(facts, tmp_path):
    """A plateau that lowers the rate twice: the final training, which has no scores, repeats that."""
    config = TrialConfig.from_flat(
        {
            "model.depth": 2,
            "model.width": 2,
            "schedule.name": "plateau",
            "schedule.patience": 0,
            "optimizer.lr": 0.02,
            "training.batch_size": 4,
            "training.max_epochs": 8,
            "training.precision": "fp32",
            "training.ema_decay": 0.5,
        }
    )
    train, searched = facts.data.split["train"], CheckpointStore(str(tmp_path / "searched"))
    reports = list(epochs(config, facts.data, train=train, validation=facts.data.split["val"], checkpoints=searched))
    lowered = [report.learning_rate for report in reports]
    record = dataclasses.replace(facts.best, config=config.to_flat(), reports=tuple(reports))
    plan = best_plan(dataclasses.replace(facts, records=[record]))
    again = CheckpointStore(str(tmp_path / "again"))
    retrained = list(retrain(plan, facts.data, again, train))
    best = max(reports, key=lambda report: report.score).epoch
    assert lowered[0] > lowered[-1]
    assert len(retrained) == best
    assert [report.train_loss for report in retrained] == [report.train_loss for report in reports[:best]]
    one, other = (store.load("best")["model"] for store in (searched, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_out_of_memory_goes_on_in_parts_from_the_last_epoch(facts, tmp_path, monkeypatch):
    from trainables.training.trainer import Training

    plan = longer(best_plan(facts), epochs=4, batch_size=8)
    train_epoch, parts = Training.train_epoch, []

    def limited(training, epoch):
        parts.append((epoch, training.micro_batches))
        if epoch >= 3 and training.micro_batches < 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_epoch(training, epoch)

    monkeypatch.setattr(Training, "train_epoch", limited)
    reports = list(retrain(plan, facts.data, CheckpointStore(str(tmp_path))))
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert parts == [(1, 1), (2, 1), (3, 1), (3, 2), (3, 4), (4, 4)]


def test_a_device_that_never_has_enough_memory_ends_it(facts, tmp_path, monkeypatch):
    from trainables.training.trainer import Training

    def never(training, epoch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Training, "train_epoch", never)
    with pytest.raises(torch.OutOfMemoryError):
        list(retrain(longer(best_plan(facts)), facts.data, CheckpointStore(str(tmp_path))))
