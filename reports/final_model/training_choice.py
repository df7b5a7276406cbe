"""Decides what the report trains: a finalist, if its time budget has room for one, and the final training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import nn

from reports.final_model.finalist_training import (
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
from reports.final_model.retrain_plan import RetrainPlan, retrain_plan
from reports.inputs import StudyFacts
from reports.prediction.scores_with_intervals import Interval
from reports.prediction.scoring import Scored
from reports.progress import TimeLeft
from search.formatting import duration
from trainables.config import TrialConfig
from trainables.messages import EpochReport
from trainables.training.resumable_training import load_best

RESERVE = 20.0
"""Seconds that are reserved for the page and other short steps."""
SLACK = 1.3
"""Factor on the estimated time of predicting the test set."""


Score = Callable[[Mapping[int, nn.Module]], Scored]
"""Scores models, keyed by the number of their trial, the best trial first: `score_models` of a study."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The result of the time that was spent."""

    scored: Scored
    """Scores with the finalist's weights in place of its trial's, if they are better on the validation part."""
    plan: RetrainPlan | None
    """The final training; None if time or memory does not suffice."""
    gain: Interval | None
    """Paired gain of the finalist on the validation part; None without a finalist."""
    configs: Mapping[int, TrialConfig]
    """Configuration of the finalist, keyed by the number of its trial, if its weights replace those of its trial."""


class Clock:
    """Seconds that are left of a report's time budget; None without a budget."""

    def __init__(self, budget: float | None, now: Callable[[], float] = time.monotonic):
        self.now = now
        self.deadline = None if budget is None else now() + budget

    @property
    def left(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.now()


def spend(
    console: Console, facts: StudyFacts, scored: Scored, clock: Clock, score: Score, device: torch.device
) -> Spent:
    """Plan the final training and, within a time budget, train a finalist if one fits.

    Without a budget, the plan repeats the trial with the largest weight in the predictor.
    """
    plan = retrain_plan(facts, scored.choice.predictor.weightiest)
    if clock.left is None:
        return Spent(scored=scored, plan=plan, gain=None, configs={})
    images = 0 if facts.data.unlabelled is None else len(facts.data.unlabelled)
    reserved = RESERVE + SLACK * images * scored.seconds_per_image
    trial, gain = facts.best, None
    configs: dict[int, TrialConfig] = {}

    def cost(candidate: TrialConfig) -> EpochSeconds | None:
        return timed(facts, candidate, trial.micro_batches, device)

    # With a finalist, the predictor is chosen once more.
    planned = _planned(console, facts, clock.left - reserved - scored.seconds_to_choose, cost)
    if planned is not None:
        found = _finalist(console, facts, scored, planned, score, device)
        if found is not None:
            finalist, better, gain = found
            members = better.choice.predictor
            if gain.value > 0 and trial.number in members.members:
                scored, plan = better, finalist.plan(facts, trial)
                configs[trial.number] = finalist.config
                if members.weightiest != trial.number:
                    plan = retrain_plan(facts, members.weightiest)
            else:
                console.print("the finalist is no improvement: the search's own weights are kept", style="yellow")
    each = cost(plan.config)
    needed = None if each is None else plan.epochs * each.every
    if needed is not None and needed <= clock.left - reserved:
        return Spent(scored=scored, plan=plan, gain=gain, configs=configs)
    why = "not enough memory" if needed is None else f"not enough time (about {duration(needed)})"
    console.print(
        f"{why} for a final training on all labelled images: the weights above are used",
        style="yellow",
        markup=False,
        soft_wrap=True,
    )
    return Spent(scored=scored, plan=None, gain=gain, configs=configs)


def _planned(console: Console, facts: StudyFacts, seconds: float, cost: Cost) -> TrialConfig | None:
    """Return the finalist that fits into these seconds; None if none does. One of an earlier report comes first."""
    trial = facts.best
    if (planned := recorded(facts, trial)) is None:
        found = plan_time(TrialConfig.from_flat(trial.config), seconds, cost)
        if found is None:
            return None
        record(facts, trial, found)
        return found
    left, each = planned.training.max_epochs - finished_epochs(facts, trial), cost(planned)
    if each is None or (left and left * (each.train + each.validation) > seconds):
        takes = "more memory than there is" if each is None else duration(left * (each.train + each.validation))
        console.print(
            f"the finalist of an earlier report is not finished and would need {takes}: it is left unfinished",
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
    """Train the finalist and choose the predictor again with its weights; None if it diverged."""
    trial, length = facts.best, config.training.max_epochs
    searched = TrialConfig.from_flat(trial.config)
    wider = "" if config.model.width == searched.model.width else f", width {config.model.width}"
    console.print(
        f"finalist: trial {trial.number:04d} is trained again on the train part, {length} epochs instead of "
        f"{searched.training.max_epochs}{wider}",
        markup=False,
        soft_wrap=True,
    )

    time_left = TimeLeft(length)

    def show_epoch(report: EpochReport) -> None:
        left = duration(time_left.after(report))
        score = f"{report.score:.4f}" if report.score is not None else "-"
        console.print(
            f"  epoch {report.epoch}/{length}  loss {report.train_loss:.4f}  validation {score}  {left} left",
            markup=False,
        )

    checkpoints = finalist_store(facts, trial)
    finalist = train_finalist(facts, trial, config, checkpoints, show_epoch)
    if finalist.diverged:
        console.print(f"the finalist diverged in epoch {finalist.reports[-1].epoch}", style="yellow", markup=False)
        return None
    # Its weights replace those of its trial, and come first.
    others = {number: model for number, model in scored.models.items() if number != trial.number}
    models = {trial.number: load_best(checkpoints, facts.data, device), **others}
    better = score(models)
    gain = better.validation.gain_over(scored.validation)
    console.print(
        f"finalist on validation: {facts.metric.title} {better.validation.interval()}, {100 * gain.value:+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}) over the search's predictor",
        markup=False,
        soft_wrap=True,
    )
    return finalist, better, gain
