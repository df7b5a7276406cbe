"""What a report is going to do, and about how long that takes at the speed of the search's own epochs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from reports.final_model.retrain_plan import retrain_plan
from reports.inputs import StudyFacts
from reports.prediction.scoring import suitable_flips
from search.formatting import duration
from trainables.errors import listed


@dataclass(frozen=True, kw_only=True)
class ImageSeconds:
    """Seconds an image, of one network without flips."""

    training: float
    prediction: float


def plan_lines(
    facts: StudyFacts,
    members: list[int],
    *,
    submits: bool,
    retrains: bool,
    checks: bool,
    onnx: bool,
    budget: float | None,
) -> list[str]:
    """Return what the report will do, step by step, each with its time, and the sum.

    Args:
        facts: the study.
        members: numbers of the trials whose weights the predictor may have, the best first.
        submits, retrains, checks, onnx: whether there will be a final model and a submission, a final training, a
            shadow retraining, and an ONNX file.
        budget: seconds of the time budget; None: there is none.
    """
    each, parts = seconds_per_image(facts), {part: len(indices) for part, indices in facts.data.split.items()}
    flips, labelled = suitable_flips(facts), len(facts.data.images)
    trials = f"trial{'s' * (len(members) > 1)} {listed([f'{number:04d}' for number in members])}"
    choosing = each.prediction * (parts["val"] * (1 + flips) * len(members) + parts["test"] * flips)
    what = "flips and decision" if len(members) == 1 else "members, flips and decision"
    where = f"on {parts['val']:,} images, and score on {parts['test']:,}"
    steps = [(f"choose {what} with the weights of {trials} {where}", choosing)]
    if submits and retrains and budget is None:
        plan = retrain_plan(facts, facts.best.number)
        training = each.training * plan.epochs
        if checks:
            both = parts["train"] + parts["val"]
            steps.append((f"shadow retraining: {plan.epochs} epochs on {both:,} images", training * both))
        steps.append((f"final training: {plan.epochs} epochs on all {labelled:,} labelled images", training * labelled))
    if submits and facts.data.unlabelled is not None:
        images = len(facts.data.unlabelled)
        steps.append((f"predict {images:,} images", each.prediction * images * flips))
    lines = ["this report will:", *(f"  {what}: about {duration(seconds)}" for what, seconds in steps)]
    total = sum(seconds for _, seconds in steps)
    if submits and retrains and budget is not None:
        lines.insert(2, "  train within the time budget: a longer finalist, and the final training if there is time")
        total = max(total, budget)
    lines.append(f"  write {facts.output / 'model'}{', with its ONNX file: up to a few minutes' if onnx else ''}")
    lines.append(f"  in all about {duration(total)}, at the speed of the search")
    return lines


def seconds_per_image(facts: StudyFacts) -> ImageSeconds:
    """Return the medians over the epochs of the best trial."""
    reports = facts.best.reports
    train = len(facts.data.train_part(facts.settings.train_fraction))
    return ImageSeconds(
        training=statistics.median(report.train_seconds for report in reports) / max(1, train),
        prediction=statistics.median(report.val_seconds for report in reports) / max(1, len(facts.data.split["val"])),
    )
