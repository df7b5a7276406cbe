from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from reports.retrain import retrain, retrain_plan, retrain_store
from tests.studies import epoch_report
from trainables.stages import stages as stages_of


def test_the_plan_keeps_the_number_of_steps(facts):
    plan = retrain_plan(facts)
    train, every = len(facts.data.split["train"]), len(facts.data.images)
    assert plan.searched_epochs == facts.best.best.epoch
    assert plan.epochs == plan.config.training.max_epochs == max(1, round(plan.searched_epochs * train / every))
    assert plan.config.model == type(plan.config).from_flat(facts.best.config).model


def finished(facts, config, stages, best):
    """The study's best trial replaced by one of that configuration whose epochs belonged to these stages."""
    reports = tuple(
        epoch_report(epoch, 0.9 if epoch == best else 0.5, stage=stage) for epoch, stage in enumerate(stages, 1)
    )
    record = dataclasses.replace(facts.best, config={**facts.best.config, **config}, reports=reports)
    records = [record if other.number == record.number else other for other in facts.records]
    return dataclasses.replace(facts, records=records)


@pytest.mark.parametrize(
    ("config", "stages", "best", "expected"),
    [
        # 10 epochs, the last 4 with a frozen encoder, the best one the second of them: 6 and 2 of 8
        ({"second_stage.name": "frozen_encoder"}, [1] * 6 + [2] * 4, 8, {"main": 6, "frozen_encoder": 2}),
        ({"second_stage.name": "frozen_encoder"}, [1] * 6 + [2] * 4, 5, {"main": 5}),
        ({"model.background": "sequential"}, [1] * 5 + [2] * 5, 8, {"background": 5, "terrain": 5}),
    ],
)
def test_a_training_in_stages_is_repeated_in_stages(config, stages, best, expected, facts, monkeypatch):
    # As many images as it was trained on: epochs stay as they are.
    monkeypatch.setattr(type(facts.data), "train_part", lambda data, fraction: np.arange(len(data.images)))
    study = finished(facts, {"training.max_epochs": 10, **config}, stages, best)
    plan = retrain_plan(study)
    assert {stage.name: stage.epochs for stage in stages_of(plan.config)} == expected


@pytest.mark.parametrize("stage", [0, 2])
def test_an_epoch_of_a_stage_that_its_configuration_has_not_is_refused(stage, facts):
    study = finished(facts, {"training.max_epochs": 10}, [1, stage, 1], 3)
    with pytest.raises(ValueError, match=f"epoch 2 is of stage {stage}, but its configuration has 1 stage"):
        retrain_plan(study)


def test_it_trains_on_every_labelled_image(facts, monkeypatch):
    seen = []
    monkeypatch.setattr("reports.retrain.epochs", lambda *args, **kwargs: seen.append(kwargs) or iter(()))
    list(retrain(retrain_plan(facts), facts.data, retrain_store(facts, retrain_plan(facts))))
    assert np.array_equal(seen[0]["train"], np.arange(24))
    assert seen[0]["validation"] is None


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_training_goes_on_to_the_same_weights(stop, facts, tmp_path):
    from trainables.checkpoints import CheckpointStore

    plan = retrain_plan(facts)
    training = dataclasses.replace(plan.config.training, max_epochs=3)
    plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, training=training))
    whole, stopped = CheckpointStore(str(tmp_path / "a")), CheckpointStore(str(tmp_path / "b"))
    expected = [report.train_loss for report in retrain(plan, facts.data, whole)]
    list(itertools.islice(retrain(plan, facts.data, stopped), stop))
    again = list(retrain(plan, facts.data, stopped))
    assert [report.train_loss for report in again] == expected
    one, other = (store.load("best")["model"] for store in (whole, stopped))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_finished_training_is_not_repeated(facts, monkeypatch):
    plan = retrain_plan(facts)
    first = list(retrain(plan, facts.data, retrain_store(facts, retrain_plan(facts))))

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr("trainables.training.Training.train_epoch", never)
    assert list(retrain(plan, facts.data, retrain_store(facts, retrain_plan(facts)))) == first
