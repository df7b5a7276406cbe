"""The report command: scores, final training, submission, page. Heavy imports live behind `--help`."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console

from reports.leaderboard_files import write_leaderboard
from reports.page import BestModel, FinalModel, write_page
from reports.retrain import retrain, retrain_plan, retrain_store
from reports.study_facts import StudyFacts, read_study
from reports.submission import check_submission, write_submission
from reports.systems_table import (
    SystemRow,
    boost_sentence,
    differences,
    rows_of,
    score_runs,
    second_stage_sentence,
    terminal_tables,
    write_systems,
)
from reports.tracking import tracked
from search.leaderboard import leaderboard
from search.ledger_place import refuse_links
from search.panels import telling_images
from search.terminal import Terminal
from search.wording import duration
from trainables.config import TrialConfig
from trainables.device import default_device, uses_bf16
from trainables.epochs import load_best
from trainables.evaluation import EVALUATION_BATCH, evaluate
from trainables.failures import StorageError
from trainables.prediction import FLIPS, predict
from trainables.trial import checkpoint_store

EXAMPLES = 8
"""Test images shown with their predictions."""
VERTICAL_FLIPS = "flips"
"""The augmentation that shows images upside down as well."""


def run(options: argparse.Namespace) -> None:
    """Make the report, and unless told otherwise the final model and the submission.

    Raises:
        ValueError: for whatever the user can put right.
    """
    console = Terminal()
    facts = read_study(options.study, options.data, options.checkpoints)
    console.print(facts.data.report.summary(), markup=False, soft_wrap=True)
    try:
        refuse_links(facts.folder)
        facts.output.mkdir(exist_ok=True)
        refuse_links(facts.output)
        _report(console, facts, options)
    except StorageError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        raise ValueError(f"{error.filename or facts.output}: {error.strerror or error}") from error


def _report(console: Console, facts: StudyFacts, options: argparse.Namespace) -> None:
    console.print(leaderboard(facts.records))
    if unfinished := facts.states["running"]:
        console.print(f"the study is not finished: {unfinished} trials are running", style="yellow")
    device = default_device()
    searched = load_best(
        checkpoint_store(facts.settings.checkpoint_root(facts.folder), facts.best.number), facts.data, device
    )
    model = _score(facts, searched, device)
    written = write_leaderboard(facts)
    for part, scores in (("validation (chose the model)", model.validation), ("held-out test", model.test)):
        classes = ", ".join(f"{name} {value:.3f}" for name, value in scores.class_iou.items())
        console.print(f"{part}: mean IoU {scores.mean_iou:.4f} ({classes})", markup=False, soft_wrap=True)
    systems = _systems(console, facts, device) if facts.settings.systems else []
    if systems:
        written.append(write_systems(facts, systems))
    final = None
    if not options.no_submission:
        final = _finish(console, facts, options, searched, device)
        if final.submission is not None:
            written.append(facts.output / final.submission)
    written.append(write_page(facts, model, final, systems))
    console.print(
        f"trial {facts.best.number:04d}: mean IoU {model.test.mean_iou:.4f} on the held-out test part, "
        f"{model.validation.mean_iou:.4f} on validation; {facts.origin}",
        markup=False,
        soft_wrap=True,
    )
    for path in written:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)


def _systems(console: Console, facts: StudyFacts, device: torch.device) -> list[SystemRow]:
    count = facts.states["complete"]
    rows = rows_of(list(tracked(console, score_runs(facts, device), count, "scoring systems")))
    for table in terminal_tables(facts, rows):
        console.print(table)
    for sentence in filter(None, (boost_sentence(rows), second_stage_sentence(rows))):
        console.print(sentence, markup=False)
    for effect, points in differences(rows):
        console.print(f"{effect.claim}: {effect.better} {points:+.2f} points over {effect.worse}", markup=False)
    return rows


def _bf16(facts: StudyFacts, device: torch.device) -> bool:
    return uses_bf16(facts.settings.precision, device)


def _score(facts: StudyFacts, model: torch.nn.Module, device: torch.device) -> BestModel:
    data, bf16 = facts.data, _bf16(facts, device)
    scores = {part: evaluate(model, data, data.split[part], device=device, bf16=bf16) for part in ("val", "test")}
    shown = telling_images(data, "test", EXAMPLES)
    predicted = predict(
        model,
        data.images[shown],
        scale=data.scale,
        device=device,
        bf16=bf16,
        suppressed=data.description.ignored_label,
    )
    return BestModel(
        validation=scores["val"],
        test=scores["test"],
        example_indices=shown,
        example_predictions=np.concatenate([np.empty((0, *data.images.shape[1:]), np.uint8), *predicted]),
    )


def _finish(
    console: Console, facts: StudyFacts, options: argparse.Namespace, searched: torch.nn.Module, device: torch.device
) -> FinalModel:
    data = facts.data
    model, epochs = (searched, None) if options.no_retrain else _retrain(console, facts, device)
    if data.unlabelled is None:
        console.print("the data has no test set: nothing to submit", style="yellow")
        return FinalModel(retrained_epochs=epochs, flips="none", submission=None, rows=0, label_shares={})
    names = data.description.class_names
    augmentations = TrialConfig.from_flat(facts.best.config).augmentation.name.split("+")
    vertical = VERTICAL_FLIPS in augmentations
    suppressed = None if options.allow_ignored else data.description.ignored_label
    path, pixels = facts.output / "submission.csv", data.images[0].size
    console.print(f"predicting {len(data.unlabelled)} images")
    batches = predict(
        model,
        data.unlabelled,
        scale=data.scale,
        device=device,
        bf16=_bf16(facts, device),
        suppressed=suppressed,
        flips=FLIPS if vertical else FLIPS[:2],
    )
    total = -(-len(data.unlabelled) // EVALUATION_BATCH)
    rows = write_submission(path, tracked(console, batches, total, "predicting"), pixels)
    try:
        counts = check_submission(
            path, rows=len(data.unlabelled), pixels=pixels, classes=len(names), refused=suppressed
        )
    except ValueError:
        path.unlink()  # nobody should hand it in
        raise
    shares = counts / counts.sum()
    console.print(f"submission: {rows} rows of {pixels} pixels, checked", markup=False)
    return FinalModel(
        retrained_epochs=epochs,
        flips="none, horizontal, vertical, both" if vertical else "none, horizontal",
        submission=path.name,
        rows=rows,
        label_shares={name: float(share) for name, share in zip(names, shares, strict=True) if share},
    )


def _retrain(console: Console, facts: StudyFacts, device: torch.device) -> tuple[torch.nn.Module, int]:
    plan = retrain_plan(facts)
    checkpoints = retrain_store(facts, plan)
    console.print(
        f"final training on all {len(facts.data.images)} labelled images: {plan.epochs} epochs, with the search's "
        "learning rates",
        soft_wrap=True,
    )
    for report in retrain(plan, facts.data, checkpoints):
        left = duration((plan.epochs - report.epoch) * report.train_seconds)
        console.print(f"  epoch {report.epoch}/{plan.epochs}  loss {report.train_loss:.4f}  {left} left", markup=False)
        if report.diverged:
            raise ValueError(
                f"{facts.folder}: the final training diverged in epoch {report.epoch}; --no-retrain predicts with "
                "the search's model"
            )
    return load_best(checkpoints, facts.data, device), plan.epochs
