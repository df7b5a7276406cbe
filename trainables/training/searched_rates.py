"""The learning rates that a trial used, found from its configuration and its reports."""

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
    """The learning rate of each optimizer step of these epochs of a stage.

    The schedule runs once more, over the stage's whole length as in the trial, and is told the same scores.

    Args:
        config: the trial's.
        stage: of the trial.
        reports: of the stage's first epochs, in order.
        steps_per_epoch: of the trial.
    """
    optimizer = torch.optim.SGD([torch.zeros(())], lr=stage.lr)
    schedule = build_schedule(config.schedule, optimizer, steps_per_epoch=steps_per_epoch, epochs=stage.epochs)
    rates = []
    for report in reports:
        for _ in range(steps_per_epoch):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()  # torch's schedulers warn where none came before them
            schedule.step_batch()
        schedule.step_epoch(stage.watched(report.train_loss, report.mean_iou))
    return tuple(rates)
