"""How long the final training is, in numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reports.retrain import retrain_plan, retrain_store
from tests.records import check_fixed, trial_record
from tests.reports.made_runs import made_facts
from tests.studies import epoch_report
from trainables.config import SecondStageConfig, TrialConfig
from trainables.stages import stages as stages_of

TUNED = {"second_stage.name": "frozen_encoder", "second_stage.fraction": 0.4, "second_stage.lr": 1e-4}
SEQUENTIAL = {"model.background": "sequential"}
EACH_FOUR = {"background": 4, "terrain": 4}


def facts_of(folder, *, epochs, best, train, config=None, stages=None, max_epochs=12, fraction=1.0):
    """Of a study whose best trial had so many epochs, of 10 images, so many of which are its train part."""
    reports = tuple(
        epoch_report(epoch, 0.9 if epoch == best else 0.5, stage=stages[epoch - 1] if stages else 1)
        for epoch in range(1, epochs + 1)
    )
    flat = {"model.depth": 2, "optimizer.lr": 0.002, "training.max_epochs": max_epochs, **(config or {})}
    records = [
        trial_record(0, [0.1, 0.2, 0.3], config={"model.depth": 3}),
        trial_record(4, config=TrialConfig.from_flat(flat).to_flat(), reports=reports),
        trial_record(5, [], state="failed"),
    ]
    parts = {1.0: train, 0.5: train // 2}
    data = SimpleNamespace(
        images=np.zeros((10, 4, 4)),
        split={"train": np.arange(train), "val": np.arange(2), "test": np.arange(1)},
        train_part=lambda fraction: np.arange(parts[fraction]),
    )
    return made_facts(folder, records, data, train_fraction=fraction)


@pytest.mark.parametrize(
    ("best", "train", "expected"),
    [
        (5, 7, 4),  # 3.5, a half goes to the even number
        (9, 7, 6),  # 6.3
        (11, 9, 10),  # 9.9
        (8, 8, 6),  # 6.4
        (3, 9, 3),  # 2.7
        (10, 7, 7),
        (1, 3, 1),  # 0.3: at least one
        (12, 10, 12),
    ],
)
def test_the_best_epoch_times_the_train_part_of_all_images(best, train, expected, tmp_path):
    plan = retrain_plan(facts_of(tmp_path, epochs=12, best=best, train=train))
    assert plan.searched_epochs == best
    assert plan.epochs == expected
    assert plan.config.training.max_epochs == expected


def test_the_train_part_is_the_one_that_was_trained_on(tmp_path):
    """Half of 8: 6 * 4 / 10 = 2.4, where 8 would make 4.8."""
    assert retrain_plan(facts_of(tmp_path, epochs=6, best=6, train=8, fraction=0.5)).epochs == 2


def test_all_but_the_length_is_the_best_trials(tmp_path):
    facts = facts_of(tmp_path, epochs=9, best=6, train=8, config={"training.batch_size": 4, "loss.name": "focal"})
    flat = TrialConfig.from_flat(facts.best.config).to_flat()
    assert retrain_plan(facts).config.to_flat() == flat | {"training.max_epochs": 5}  # 4.8
    assert flat["training.max_epochs"] == 12


@pytest.mark.parametrize(
    ("config", "stages", "best", "epochs", "fraction", "expected"),
    [
        # the second of 4 epochs of fine-tuning: 2 of the 8 up to the best one
        (TUNED, [1] * 6 + [2] * 4, 8, 8, 2 / 8, {"main": 6, "frozen_encoder": 2}),
        (TUNED, [1] * 6 + [2] * 4, 10, 10, 4 / 10, {"main": 6, "frozen_encoder": 4}),
        (TUNED, [1] * 6 + [2] * 4, 7, 7, 1 / 7, {"main": 6, "frozen_encoder": 1}),
        (TUNED, [1] * 6 + [2] * 4, 6, 6, None, {"main": 6}),
        # the first stage ended early
        (TUNED, [1] * 3 + [2] * 2, 5, 5, 2 / 5, {"main": 3, "frozen_encoder": 2}),
        # both networks of a pair get as many epochs as the one that had more
        (SEQUENTIAL, [1] * 5 + [2] * 5, 8, 10, None, {"background": 5, "terrain": 5}),
        (SEQUENTIAL, [1] * 2 + [2] * 5, 7, 10, None, {"background": 5, "terrain": 5}),
        (SEQUENTIAL, [1] * 5 + [2] * 5, 10, 10, None, {"background": 5, "terrain": 5}),
        # 4 and 2 epochs, and one of fine-tuning: twice the longer one, and that one more
        (SEQUENTIAL | TUNED, [1] * 4 + [2] * 2 + [3] * 2, 7, 9, 1 / 7, EACH_FOUR | {"frozen_encoder": 1}),
        (SEQUENTIAL | TUNED, [1] * 4 + [2] * 4 + [3] * 2, 6, 8, None, EACH_FOUR),
    ],
)
def test_stages_keep_their_parts_of_the_epochs(config, stages, best, epochs, fraction, expected, tmp_path):
    facts = facts_of(tmp_path, epochs=len(stages), best=best, train=10, config=config, stages=stages)
    plan = retrain_plan(facts)
    assert plan.searched_epochs == best
    assert plan.epochs == epochs
    assert plan.config.second_stage.fraction == (None if fraction is None else pytest.approx(fraction))
    assert plan.config.second_stage.lr == (None if fraction is None else 1e-4)
    assert {stage.name: stage.epochs for stage in stages_of(plan.config)} == expected
    if fraction is None:
        assert plan.config.second_stage == SecondStageConfig()


def test_stages_are_scaled_as_a_whole(tmp_path):
    """8 epochs, a quarter of them fine-tuning, on 7 of 10 images: 5.6 is 6, of which 1.5 is 2."""
    facts = facts_of(tmp_path, epochs=10, best=8, train=7, config=TUNED, stages=[1] * 6 + [2] * 4)
    plan = retrain_plan(facts)
    assert {stage.name: stage.epochs for stage in stages_of(plan.config)} == {"main": 4, "frozen_encoder": 2}


def test_each_plan_has_a_folder_of_its_own(tmp_path):
    facts = facts_of(tmp_path, epochs=12, best=9, train=7)
    assert retrain_store(facts, retrain_plan(facts)).location == f"{tmp_path}/report/retrain/0004-6-epochs"


def test_a_plan_is_fixed(tmp_path):
    check_fixed(retrain_plan(facts_of(tmp_path, epochs=1, best=1, train=8)))
