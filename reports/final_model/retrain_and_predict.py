"""The final model and the submission."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

from reports.final_model.retrain_plan import RetrainPlan
from reports.final_model.retraining import check_store, retrain, retrain_store
from reports.inputs import StudyFacts
from reports.predicted_masks import FOLDER, write_masks
from reports.prediction.scores_with_intervals import Confusions, Interval
from reports.prediction.scoring import Scored, never_sentence
from reports.progress import TimeLeft, tracked
from reports.submission_csv import check_submission, write_submission
from search.formatting import duration
from trainables.data.sizes.images import Chosen
from trainables.device import uses_bf16
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import load_best


@dataclass(frozen=True, kw_only=True)
class FinalModel:
    """The model that predicted the submission."""

    retrained: int | None
    """Number of the trial that was retrained on all labelled images; None: all weights are the search's."""
    retrained_epochs: int | None
    check: Interval | None
    """Paired gain of shadow retraining on the test part; None: not tried."""
    submission: str | None
    """File name; None without a test set."""
    rows: int
    label_shares: dict[str, float]
    """Share of the predicted pixels, by class name."""
    never: str | None
    """A warning about classes that are never predicted; None if there are none."""
    models: Mapping[int, nn.Module] = field(repr=False)
    """The models that predicted, keyed by the number of their trial."""


@dataclass(frozen=True, kw_only=True)
class FinalOptions:
    """Options of the final model."""

    plan: RetrainPlan | None
    """The training that is repeated on all labelled images; None: no final training."""
    check: bool
    """Whether shadow retraining comes first; the final training is left out if that scores lower on the test part."""


def finish(
    console: Console, facts: StudyFacts, scored: Scored, options: FinalOptions, device: torch.device
) -> FinalModel:
    """Run the final training if there is a plan for one, and predict the test set."""
    models, predictor = dict(scored.models), scored.choice.predictor
    final = FinalModel(
        retrained=None,
        retrained_epochs=None,
        check=None,
        submission=None,
        rows=0,
        label_shares={},
        never=scored.never,
        models=models,
    )
    if (plan := options.plan) is not None:
        check = _check(console, facts, scored, plan, device) if options.check else None
        final = dataclasses.replace(final, check=check)
        if check is None or round(check.value, 3) >= 0:  # rounded as it is printed
            models[plan.number] = _trained(
                console, facts, plan, retrain_store(facts, plan), None, device, "final training on all"
            )
            final = dataclasses.replace(final, retrained=plan.number, retrained_epochs=plan.epochs)
        else:
            console.print(
                f"shadow retraining lost {-100 * check.value:.1f} points on the test part: the search's weights "
                "are used",
                style="yellow",
                soft_wrap=True,
            )
    predictor.write(facts.output / "predictor.json")
    if facts.data.unlabelled is None:
        console.print("the data has no images to predict: nothing to submit", style="yellow")
        return final
    console.print(f"predicting {len(facts.data.unlabelled)} images")
    bf16 = uses_bf16(facts.settings.precision, device)
    ready = predictor.with_models(models, facts.data, device, bf16=bf16)
    count = ready.batches(facts.data.unlabelled)
    batches = tracked(console, ready.labels(facts.data.unlabelled), count, "predicting")
    if (named := facts.data.unlabelled_names) is not None:
        path = facts.output / FOLDER
        counts = write_masks(path, named, batches, facts.data.description)
    else:
        path = facts.output / "submission.csv"
        counts = _submit(console, facts, path, batches, predictor.suppressed)
    names = facts.data.description.class_names
    never = never_sentence(facts.data, counts, f"the {len(facts.data.unlabelled):,} images to predict")
    shares = {name: float(share) for name, share in zip(names, counts / counts.sum(), strict=True) if share}
    return dataclasses.replace(
        final, submission=path.name, rows=len(facts.data.unlabelled), label_shares=shares, never=never
    )


def _submit(
    console: Console, facts: StudyFacts, path: Path, batches: Iterable[np.ndarray], suppressed: int | None
) -> np.ndarray:
    """Write the submission and check it; returns the number of pixels of each class."""
    images = facts.data.unlabelled
    assert images is not None
    names, pixels = facts.data.description.class_names, images[0].size
    write_submission(path, batches, pixels)
    try:
        counts = check_submission(path, rows=len(images), pixels=pixels, classes=len(names), refused=suppressed)
    except ValueError:
        path.unlink()  # it must not be handed in
        raise
    console.print(f"submission: {len(images)} rows of {pixels} pixels, checked", markup=False)
    return counts


def _check(console: Console, facts: StudyFacts, scored: Scored, plan: RetrainPlan, device: torch.device) -> Interval:
    """Run shadow retraining: the final training on the train and validation parts; returns its paired test gain."""
    data = facts.data
    both = np.sort(np.concatenate([data.split["train"], data.split["val"]]))
    model = _trained(console, facts, plan, check_store(facts, plan), both, device, "shadow retraining on")
    predictor, test = scored.choice.predictor, data.split["test"]
    models, bf16 = {**scored.models, plan.number: model}, uses_bf16(facts.settings.precision, device)
    predicted = predictor.with_models(models, data, device, bf16=bf16).labels(Chosen(data.images, test))
    shadow = Confusions.of(data, test, predicted, suppressed=predictor.suppressed, metric=facts.metric)
    gain = shadow.gain_over(scored.test)
    console.print(
        f"shadow retraining on the train and validation parts: {facts.metric.title} {shadow.interval()} on the test "
        f"part, {100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f}) over the search's "
        "weights",
        markup=False,
        soft_wrap=True,
    )
    return gain


def _trained(
    console: Console,
    facts: StudyFacts,
    plan: RetrainPlan,
    checkpoints: CheckpointStore,
    indices: np.ndarray | None,
    device: torch.device,
    what: str,
) -> nn.Module:
    count = len(facts.data.images) if indices is None else len(indices)
    console.print(
        f"{what} {count} labelled images: {plan.epochs} epochs, with the learning rates that led to the best epoch",
        soft_wrap=True,
    )
    time_left = TimeLeft(plan.epochs)
    for report in retrain(plan, facts.data, checkpoints, indices):
        left = duration(time_left.after(report))
        console.print(f"  epoch {report.epoch}/{plan.epochs}  loss {report.train_loss:.4f}  {left} left", markup=False)
        if report.diverged:
            raise ValueError(
                f"{facts.folder}: the final training diverged in epoch {report.epoch}; use --no-retrain to predict "
                "with the search's model"
            )
    return load_best(checkpoints, facts.data, device)
