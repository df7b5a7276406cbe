from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.made.studies import epoch_report
from trainables.config import TrialConfig
from trainables.optim.schedules import SCHEDULES, ReplayedSchedule
from trainables.training.searched_rates import searched_rates
from trainables.training.stages import Stage, stages
from trainables.training.trainer import Training

SCORES = [0.3, 0.4, 0.4, 0.2, 0.5, 0.5]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("second_stage", ["none", "frozen_encoder"])
def test_they_are_those_of_a_training_with_the_same_scores(name, second_stage, tiny):
    flat = {
        "model.depth": 2,
        "model.width": 1,
        "schedule.name": name,
        "training.max_epochs": 6,
        "training.batch_size": 8,
        "second_stage.name": second_stage,
    }
    config = TrialConfig.from_flat(flat | ({"schedule.patience": 0} if name == "plateau" else {}))
    for number, stage in enumerate(stages(config), 1):
        training = Training(config, tiny, tiny.split["train"], torch.device("cpu"))
        training.begin_stage(number)
        used, reports = [], []
        step = training.schedule.step_batch

        def noted(step=step, training=training, used=used):
            used.append(training.learning_rate)
            step()

        training.schedule.step_batch = noted
        for epoch, score in enumerate(SCORES[: stage.epochs], 1):
            loss = training.train_epoch(epoch).loss
            training.schedule.step_epoch(stage.watched(loss, score))
            reports.append(epoch_report(epoch, score, train_loss=loss))
        found = searched_rates(config, stage, reports, steps_per_epoch=training.batches.steps)
        assert len(found) == stage.epochs * training.batches.steps
        assert found == pytest.approx(used, rel=1e-12)


def test_a_stage_that_no_score_judges_watches_its_loss():
    config = TrialConfig.from_flat({"schedule.name": "plateau", "schedule.patience": 0, "schedule.factor": 0.5})
    reports = [epoch_report(epoch, 0.1 * epoch, train_loss=loss) for epoch, loss in enumerate([3.0, 4.0, 2.0, 1.0], 1)]
    background = Stage(name="background", epochs=4, lr=0.1)
    assert searched_rates(config, background, reports, steps_per_epoch=1) == pytest.approx([0.1, 0.1, 0.05, 0.05])
    main = Stage(name="main", epochs=4, lr=0.1)
    assert searched_rates(config, main, reports, steps_per_epoch=1) == pytest.approx([0.1] * 4)


@pytest.mark.parametrize(
    ("recorded", "steps", "expected"),
    [
        ([3, 2, 1], 3, [3, 2, 1, 1]),
        ([3, 2, 1], 6, [3, 3, 2, 2, 1, 1, 1]),
        ([3, 2, 1], 4, [3, 3, 2, 1, 1]),
        ([6, 5, 4, 3, 2, 1], 3, [6, 4, 2, 1]),
    ],
)
def test_recorded_rates_are_stretched_and_kept_at_their_end(recorded, steps, expected):
    optimizer = torch.optim.SGD([{"params": nn.Linear(1, 1).parameters()}, {"params": [torch.zeros(())]}], lr=9)
    schedule = ReplayedSchedule(optimizer, recorded, steps)
    found = []
    for _ in range(steps + 1):
        rates = {group["lr"] for group in optimizer.param_groups}
        assert len(rates) == 1
        found.append(rates.pop())
        schedule.step_epoch(float("nan"))
        schedule.step_batch()
    # the last step that is taken has the rate before the end; behind it the rate stays
    assert found == expected[: steps + 1]
    assert optimizer.param_groups[0]["lr"] == recorded[-1]


def test_a_resumed_schedule_goes_on_where_it_was():
    optimizer = torch.optim.SGD([torch.zeros(())], lr=9)
    rates = list(np.linspace(1, 0.1, 10))
    schedule = ReplayedSchedule(optimizer, rates, 10)
    for _ in range(4):
        schedule.step_batch()
    other = torch.optim.SGD([torch.zeros(())], lr=9)
    resumed = ReplayedSchedule(other, rates, 10)
    resumed.load_state_dict(schedule.state_dict())
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == rates[4]
    resumed.step_batch()
    assert other.param_groups[0]["lr"] == rates[5]
