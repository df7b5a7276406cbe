"""How long the final training is, in numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from reports.final_model.retraining import retrain_store
from search.ledger.records import Failure
from tests.made.records import check_fixed, trial_record
from tests.made.studies import epoch_report
from tests.reports.made_runs import best_plan, made_facts
from trainables.config import TrialConfig
from trainables.training.stages import stages as stages_of

TUNED = {"second_stage.name": "frozen_encoder", "second_stage.fraction": 0.4, "second_stage.lr": 1e-4}
SEQUENTIAL = {"model.background": "sequential"}


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
        crops=np.ones_like,
    )
    return made_facts(folder, records, data, train_fraction=fraction)


@pytest.mark.parametrize(("best", "epochs"), [(5, 12), (12, 12), (1, 3), (7, 7)])
def test_it_repeats_the_epochs_up_to_the_best_one(best, epochs, tmp_path):
    plan = best_plan(facts_of(tmp_path, epochs=epochs, best=best, train=7))
    assert plan.epochs == plan.config.training.max_epochs == best
    assert [(stage.name, stage.epochs) for stage in plan.stages] == [("main", best)]


def test_all_but_the_length_is_the_best_trials(tmp_path):
    facts = facts_of(tmp_path, epochs=9, best=6, train=8, config={"training.batch_size": 4, "schedule.name": "cosine"})
    flat = TrialConfig.from_flat(facts.best.config).to_flat()
    found = best_plan(facts_of(tmp_path, epochs=12, best=12, train=8, config=flat)).config.to_flat()
    assert found == flat
    cut_off = best_plan(facts).config.to_flat()
    assert cut_off == flat | {"training.max_epochs": 6, "training.ema_decay": 0.99}
    assert flat["training.max_epochs"] == 12


@pytest.mark.parametrize(
    ("config", "best", "expected"),
    [
        ({"schedule.name": "constant"}, 12, 0.99),  # whichever epoch is the last
        ({"schedule.name": "constant", "training.ema_decay": 0.9}, 12, 0.9),
        ({"schedule.name": "cosine"}, 12, None),
        ({"schedule.name": "cosine"}, 5, 0.99),  # early stopping cut it off
        ({"schedule.name": "onecycle"}, 12, None),
        ({"schedule.name": "onecycle", "training.ema_decay": 0.9}, 3, 0.9),
        ({"schedule.name": "plateau", "schedule.patience": 0, "schedule.factor": 0.5}, 4, 0.99),  # an eighth is left
        ({"schedule.name": "plateau", "schedule.patience": 0, "schedule.factor": 0.3}, 4, None),
    ],
)
def test_weights_are_averaged_where_the_last_epoch_is_one_of_many(config, best, expected, tmp_path):
    # Only the best epoch is better than the first: by then plateau has lowered the rate after all but the first.
    plan = best_plan(facts_of(tmp_path, epochs=12, best=best, train=8, config=config))
    assert plan.config.training.ema_decay == expected


def rates_of(plan):
    return [stage.rates for stage in plan.stages]


def test_a_constant_rate_is_repeated_for_each_step(tmp_path):
    config = {"schedule.name": "constant", "training.batch_size": 2}
    plan = best_plan(facts_of(tmp_path, epochs=6, best=4, train=7, config=config))
    assert rates_of(plan) == [(0.002,) * 4 * 3]  # 7 images are 3 batches
    half = best_plan(facts_of(tmp_path, epochs=6, best=4, train=8, config=config, fraction=0.5))
    assert rates_of(half) == [(0.002,) * 4 * 2]  # 4 images are 2


def test_a_schedule_is_repeated_as_far_as_it_came(tmp_path):
    """Eq. 5 of the paper over all 12 epochs of 2 steps, of which 5 epochs are repeated."""
    config = {"schedule.name": "cosine", "training.batch_size": 4}
    ((rates),) = rates_of(best_plan(facts_of(tmp_path, epochs=9, best=5, train=8, config=config)))
    floor = 0.01 * 0.002
    whole = [floor + (0.002 - floor) * (1 + math.cos(math.pi * step / 24)) / 2 for step in range(24)]
    assert rates == pytest.approx(whole[:10])


def test_plateau_repeats_what_the_scores_did(tmp_path):
    """After its first epoch the score stalls; patience 1 lets one epoch pass."""
    config = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.1, "training.batch_size": 8}
    (rates,) = rates_of(best_plan(facts_of(tmp_path, epochs=9, best=7, train=8, config=config)))
    assert rates == pytest.approx([0.002] * 3 + [0.0002] * 2 + [0.00002] * 2)


@pytest.mark.parametrize(
    ("config", "stages", "scores", "expected"),
    [
        # fine-tuning began from epoch 4, the best one of the first stage, and was best in its second epoch
        (TUNED, [1] * 6 + [2] * 4, [1, 2, 3, 5, 4, 4, 6, 8, 7, 7], {"main": 4, "frozen_encoder": 2}),
        # of equals the first
        (TUNED, [1] * 6 + [2] * 4, [1, 5, 3, 5, 4, 4, 6, 6, 8, 7], {"main": 2, "frozen_encoder": 3}),
        # fine-tuning brought nothing
        (TUNED, [1] * 6 + [2] * 4, [1, 2, 3, 9, 4, 4, 6, 8, 7, 7], {"main": 4}),
        # the terrain network needs nothing of the other, but comes after all of it
        (SEQUENTIAL, [1] * 5 + [2] * 5, [3, 1, 1, 1, 1, 4, 5, 9, 8, 8], {"background": 5, "terrain": 3}),
        (
            SEQUENTIAL | TUNED,
            [1] * 4 + [2] * 4 + [3] * 2,
            [0, 0, 0, 0, 4, 6, 5, 5, 7, 8],
            {"background": 4, "terrain": 2, "frozen_encoder": 2},
        ),
    ],
)
def test_stages_are_repeated_up_to_what_the_next_one_began_from(config, stages, scores, expected, tmp_path):
    facts = facts_of(tmp_path, epochs=10, best=1, train=8, config=config, stages=stages)
    reports = tuple(
        epoch_report(epoch, score / 10, stage=stage)
        for epoch, (stage, score) in enumerate(zip(stages, scores, strict=True), 1)
    )
    best = dataclasses.replace(facts.best, reports=reports)
    plan = best_plan(dataclasses.replace(facts, records=[best]))
    assert {stage.name: stage.epochs for stage in plan.stages} == expected
    assert plan.epochs == sum(expected.values())
    if config is TUNED:  # as the configuration alone says
        assert {stage.name: stage.epochs for stage in stages_of(plan.config)} == expected
    tuned = [stage for stage in plan.stages if stage.name == "frozen_encoder"]
    assert all(0.5e-4 < max(stage.rates) < 1.01e-4 for stage in tuned)
    assert all(len(stage.rates) == stage.epochs for stage in plan.stages)  # 8 images are one step


def test_memory_that_ran_out_is_remembered(tmp_path):
    facts = facts_of(tmp_path, epochs=3, best=3, train=8)
    assert best_plan(facts).micro_batches == 1
    failed = tuple(Failure(kind=kind, epoch=1, message="") for kind in ("out_of_memory", "error", "out_of_memory"))
    best = dataclasses.replace(facts.best, failures=failed)
    assert best_plan(dataclasses.replace(facts, records=[best])).micro_batches == 4


def test_each_plan_has_a_folder_of_its_own(tmp_path):
    def folder(**changes):
        facts = facts_of(tmp_path, **{"epochs": 12, "best": 9, "train": 7} | changes)
        return retrain_store(facts, best_plan(facts)).location

    assert folder().startswith(f"{tmp_path}/report/retrain/0004-9-epochs-")
    assert folder() == folder(epochs=10)
    flat = {"model.depth": 3, "model.width": 8}
    assert folder(config=flat) == folder(config=dict(reversed(flat.items())))
    others = [
        folder(best=8),
        folder(config={"model.depth": 3}),
        folder(max_epochs=13),
        folder(train=3, config={"training.batch_size": 1}),
    ]
    assert len({folder(), *others}) == 5
    assert len({folder(train=train, config={"training.batch_size": 1}) for train in (3, 7)}) == 2
    # as long as each other, with stages of other lengths
    one, other = (folder(config=TUNED, stages=[1] * count + [2] * (12 - count)) for count in (7, 8))
    assert one != other


def test_a_plan_is_fixed(tmp_path):
    check_fixed(best_plan(facts_of(tmp_path, epochs=1, best=1, train=8)))
