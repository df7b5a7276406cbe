"""Reconstructs the learning rates of a trial from its configuration and its reports."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainables.config import TrialConfig
from trainables.messages import EpochReport
from trainables.optim.schedules import build_schedule
from trainables.training.stages import Stage


def searched_rates(
    config: TrialConfig, stage: Stage, reports: Sequence[EpochReport], *, steps_per_epoch: int
) -> tuple[float, ...]:
    """Return the learning rate of each optimizer step in the first epochs of a stage.

    The schedule of the whole stage is run again, with the scores of the reports.

    Args:
        config: the configuration of the trial.
        stage: a stage of the trial.
        reports: reports of the first epochs of the stage, in order.
        steps_per_epoch: optimizer steps per epoch of the trial.
    """
    optimizer = torch.optim.SGD([torch.zeros(())], lr=stage.lr)
    schedule = build_schedule(config.schedule, optimizer, steps_per_epoch=steps_per_epoch, epochs=stage.epochs)
    rates = []
    for report in reports:
        for _ in range(steps_per_epoch):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()  # without it, the schedulers of PyTorch warn
            schedule.step_batch()
        schedule.step_epoch(stage.watched(report.train_loss, report.score))
    return tuple(rates)
