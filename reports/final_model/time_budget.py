"""What the report does with its time: a finalist where one fits, and the final training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import nn

from reports.final_model.finalist import (
    Cost,
    EpochSeconds,
    Finalist,
    finalist_store,
    finished_epochs,
    plan_time,
    record,
    recorded,
    timed,
    train_finalist,
)
from reports.final_model.retrain import RetrainPlan, retrain_plan
from reports.inputs import StudyFacts
from reports.prediction.confusions import Interval
from reports.prediction.scoring import Scored
from search.formatting import duration
from trainables.config import TrialConfig
from trainables.messages import EpochReport
from trainables.training.epoch_loop import load_best

RESERVE = 20.0
"""Seconds for the page and all that is quick."""
SLACK = 1.3
"""Times what predicting should take."""


Score = Callable[[Mapping[int, nn.Module]], Scored]
"""Of weights by trial, the first of all first: `score_models` of a study."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the time was spent on."""

    scored: Scored
    """With the finalist's weights in place of its trial's, if they are better on the validation part."""
    plan: RetrainPlan | None
    """The final training; None where there is no time for it."""
    gain: Interval | None
    """Of the finalist on the validation part, paired; None: there was none."""


class Clock:
    """Seconds that a report has left, if it has a budget at all."""

    def __init__(self, budget: float | None, now: Callable[[], float] = time.monotonic):
        self.now = now
        self.deadline = None if budget is None else now() + budget

    @property
    def left(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.now()


def spend(
    console: Console, facts: StudyFacts, scored: Scored, clock: Clock, score: Score, device: torch.device
) -> Spent:
    """Without a budget: the final training of the trial that weighs most. With one: what fits into it."""
    plan = retrain_plan(facts, scored.choice.predictor.weightiest)
    if clock.left is None:
        return Spent(scored=scored, plan=plan, gain=None)
    images = 0 if facts.data.unlabelled is None else len(facts.data.unlabelled)
    reserved = RESERVE + SLACK * images * scored.seconds_per_image
    trial, gain = facts.best, None

    def cost(candidate: TrialConfig) -> EpochSeconds | None:
        return timed(facts, candidate, trial.micro_batches, device)

    # A finalist is chosen with once more.
    planned = _planned(console, facts, clock.left - reserved - scored.seconds_to_choose, cost)
    if planned is not None:
        found = _finalist(console, facts, scored, planned, score, device)
        if found is not None:
            finalist, better, gain = found
            members = better.choice.predictor
            if gain.value > 0 and trial.number in members.members:
                scored, plan = better, finalist.plan(facts, trial)
                if members.weightiest != trial.number:
                    plan = retrain_plan(facts, members.weightiest)
            else:
                console.print("it brings nothing beside the search's own weights, which are kept", style="yellow")
    each = cost(plan.config)
    needed = None if each is None else plan.epochs * each.every
    if needed is not None and needed <= clock.left - reserved:
        return Spent(scored=scored, plan=plan, gain=gain)
    why = "no memory" if needed is None else f"no time, as it would take {duration(needed)},"
    console.print(f"{why} for the final training: the present weights predict", style="yellow", markup=False)
    return Spent(scored=scored, plan=None, gain=gain)


def _planned(console: Console, facts: StudyFacts, seconds: float, cost: Cost) -> TrialConfig | None:
    """The finalist that fits into so many seconds, an earlier report's before any other; None where none does."""
    trial = facts.best
    if (planned := recorded(facts, trial)) is None:
        found = plan_time(TrialConfig.from_flat(trial.config), seconds, cost)
        if found is None:
            return None
        record(facts, trial, found.config)
        return found.config
    left, each = planned.training.max_epochs - finished_epochs(facts, trial), cost(planned)
    if each is None or (left and left * (each.train + each.validation) > seconds):
        takes = "more memory than there is" if each is None else duration(left * (each.train + each.validation))
        console.print(
            f"the finalist of an earlier report is not finished, and would take {takes}: it is left as it is",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
        return None
    return planned


def _finalist(
    console: Console,
    facts: StudyFacts,
    scored: Scored,
    config: TrialConfig,
    score: Score,
    device: torch.device,
) -> tuple[Finalist, Scored, Interval] | None:
    """What became of it; None where it diverged."""
    trial, length = facts.best, config.training.max_epochs
    searched = TrialConfig.from_flat(trial.config)
    wider = "" if config.model.width == searched.model.width else f", width {config.model.width}"
    console.print(
        f"finalist: trial {trial.number:04d} once more on the train part, {length} epochs instead of "
        f"{searched.training.max_epochs}{wider}",
        markup=False,
        soft_wrap=True,
    )

    def show_epoch(report: EpochReport) -> None:
        left = duration((length - report.epoch) * (report.train_seconds + report.val_seconds))
        score = f"{report.mean_iou:.4f}" if report.mean_iou is not None else "-"
        console.print(
            f"  epoch {report.epoch}/{length}  loss {report.train_loss:.4f}  validation {score}  {left} left",
            markup=False,
        )

    checkpoints = finalist_store(facts, trial)
    finalist = train_finalist(facts, trial, config, checkpoints, show_epoch)
    if finalist.diverged:
        console.print(f"the finalist diverged in epoch {finalist.reports[-1].epoch}", style="yellow", markup=False)
        return None
    # Its weights take the place of its trial's, first of all.
    others = {number: model for number, model in scored.models.items() if number != trial.number}
    models = {trial.number: load_best(checkpoints, facts.data, device), **others}
    better = score(models)
    gain = better.validation.gain_over(scored.validation)
    console.print(
        f"finalist on validation: mean IoU {better.validation.interval()}, {100 * gain.value:+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}) over the search's predictor",
        markup=False,
        soft_wrap=True,
    )
    return finalist, better, gain
