from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from reports.retrain import retrain, retrain_plan, retrain_store


def test_the_plan_keeps_the_number_of_steps(facts):
    plan = retrain_plan(facts)
    train, every = len(facts.data.split["train"]), len(facts.data.images)
    assert plan.searched_epochs == facts.best.best.epoch
    assert plan.epochs == plan.config.training.max_epochs == max(1, round(plan.searched_epochs * train / every))
    assert plan.config.model == type(plan.config).from_flat(facts.best.config).model


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
