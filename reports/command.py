"""The report command: scores, final training, submission and page.

It is imported only once the command line is parsed, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console

from reports.bundle.onnx_file import check_libraries
from reports.bundle.write import Trained, write_bundle
from reports.final_model.expected_time import plan_lines
from reports.final_model.retrain_and_predict import FinalModel, FinalOptions, finish
from reports.final_model.training_choice import Clock, spend
from reports.inputs import StudyFacts, read_study
from reports.output.folder import make_output
from reports.output.html_page import Page
from reports.output.leaderboard_files import write_leaderboard
from reports.output.systems_comparison import (
    SystemRow,
    boost_sentence,
    differences,
    rows_of,
    score_runs,
    second_stage_sentence,
    terminal_tables,
    write_systems,
)
from reports.prediction.scoring import Scored, saved_lines, score_lines, score_models, searched_models
from reports.progress import tracked
from search.exit_status import OUTAGES
from search.folders.places import Place, explained_by
from search.library_output import quiet_optuna
from search.views.leaderboard import leaderboard
from search.views.safe_console import Terminal
from trainables.atomic_write import clear_leftovers
from trainables.config import TrialConfig
from trainables.device import default_device
from trainables.errors import StorageError

MEMBERS = 3
"""Number of the best trials whose weights a predictor may have, by default: a search keeps those of so many."""
ONNX_SECONDS, ONNX_PART = 60.0, 0.1
"""Seconds of a time budget that are kept for the ONNX file, and the largest part of the budget that they may be."""


def run(options: argparse.Namespace) -> None:
    """Write the report and, unless the options leave them out, the final model and the submission.

    Raises:
        ValueError: for mistakes that the user can correct, and for errors of files and storage.
    """
    if not options.no_onnx:
        check_libraries()
    quiet_optuna()
    console = Terminal()
    place = options.study
    try:
        facts = read_study(options.study, options.data, options.checkpoints, options.output, options.trial)
        place = facts.output
        console.print(facts.data.report.summary(), markup=False, soft_wrap=True)
        make_output(facts)
        _report(console, facts, options)
    except (StorageError, OSError) as error:
        raise _explained(error, place) from error


def _explained(error: StorageError | OSError, place: Path) -> ValueError:
    """Return an error of files or storage as one line: where it is, and what to do."""
    if isinstance(error, OSError):
        cause, where = error, str(error.filename or place)
    elif isinstance(error.__cause__, OSError):
        cause, where = error.__cause__, str(error).removesuffix(f": {error.__cause__}")
    else:
        return ValueError(str(error))
    if cause.errno not in OUTAGES:
        explained = explained_by(cause, [Place(place, "give another folder with --output")])
        return explained or ValueError(f"{where}: {cause.strerror or cause}")
    return ValueError(
        f"{where}: {os.strerror(cause.errno)}; free some space or repair the disk, then run the same command again: "
        "nothing is lost, and a training continues after its last finished epoch"
    )


def _budget(options: argparse.Namespace) -> float | None:
    """Return the seconds of the time budget without those of the ONNX file."""
    budget: float | None = options.time_budget
    if budget is None or options.no_onnx:
        return budget
    return budget - min(ONNX_SECONDS, ONNX_PART * budget)


def _report(console: Console, facts: StudyFacts, options: argparse.Namespace) -> None:
    clear_leftovers(facts.output)
    device, clock = default_device(), Clock(_budget(options))
    recorded = facts
    facts, models = searched_models(facts, options.members or MEMBERS, device)
    console.print(leaderboard(facts.records, metric=facts.metric, width=console.width))
    for line in saved_lines(recorded, facts):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    if facts.unfinished:
        console.print(f"the study is not finished; trials: {', '.join(facts.unfinished)}", style="yellow")
    for line in plan_lines(
        facts,
        list(models),
        submits=not options.no_submission,
        retrains=not options.no_retrain,
        checks=options.check_retrain,
        onnx=not options.no_onnx,
        budget=options.time_budget,
    ):
        console.print(line, markup=False, soft_wrap=True)
    suppressed = None if options.allow_ignored else facts.data.description.ignored_label
    score = functools.partial(
        score_models, facts, suppressed=suppressed, device=device, calibrate=not options.plain_labels
    )
    console.print(f"choosing the predictor on {len(facts.data.split['val'])} validation images")
    scored = score(models)
    written = write_leaderboard(facts)
    _say_scores(console, facts, scored)
    systems = _systems(console, facts, device) if facts.settings.systems else []
    if systems:
        written.append(write_systems(facts, systems))
    page, final = Page(facts, systems), None
    configs: dict[int, TrialConfig] = {}
    page.write(scored, final, submits=not options.no_submission)
    if not options.no_submission:
        console.print(
            f"wrote {page.path}, with all but the final model: it is written again once that is done",
            markup=False,
            soft_wrap=True,
        )
        plan = None
        if not options.no_retrain:
            spent = spend(console, facts, scored, clock, score, device)
            plan = spent.plan
            configs |= spent.configs
            if spent.scored is not scored:
                scored = spent.scored
                _say_scores(console, facts, scored)
        final = finish(console, facts, scored, FinalOptions(plan=plan, check=options.check_retrain), device)
        written.append(facts.output / "predictor.json")
        if final.submission is not None:
            written.append(facts.output / final.submission)
        if plan is not None and final.retrained is not None:
            configs[plan.number] = plan.config
        page.write(scored, final, submits=True)
    written.append(page.path)
    bundle = _write_bundle(console, facts, scored, final, configs, onnx=not options.no_onnx)
    written.append(bundle)
    console.print(
        f"{facts.metric.title} {scored.test.interval()} on the held-out test part, "
        f"{scored.validation.interval()} on validation; {facts.origin}",
        markup=False,
        soft_wrap=True,
    )
    for path in written:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    console.print(f"predict new images:  python reports/predict.py {bundle} INPUT -o OUT", markup=False, soft_wrap=True)


def _write_bundle(
    console: Console,
    facts: StudyFacts,
    scored: Scored,
    final: FinalModel | None,
    configs: Mapping[int, TrialConfig],
    *,
    onnx: bool,
) -> Path:
    """Write the bundle of the model that made the submission, or without one of the search's; returns its folder."""
    never = scored.never if final is None else final.never
    if never is not None:
        console.print(f"warning: {never}", style="yellow", markup=False, soft_wrap=True)
    trained = Trained(
        models=scored.models if final is None else final.models,
        configs=configs,
        retrained=None if final is None else final.retrained,
        never=never,
    )
    console.print(f"writing the model{' and its ONNX file' if onnx else ''}")
    bundle = write_bundle(facts, scored, trained, onnx=onnx)
    if bundle.onnx is not None:
        console.print(
            f"ONNX file: on {bundle.onnx.checked} real images its probabilities differ from PyTorch by at most "
            f"{bundle.onnx.largest_difference:.1e} (tolerance {bundle.onnx.tolerance:g}), its labels in "
            f"{bundle.onnx.differing_pixels:.4%} of the pixels",
            markup=False,
            soft_wrap=True,
        )
    if bundle.without_onnx is not None:
        console.print(f"no ONNX file was written: {bundle.without_onnx}", style="yellow", markup=False, soft_wrap=True)
    return bundle.folder


def _say_scores(console: Console, facts: StudyFacts, scored: Scored) -> None:
    predictor = scored.choice.predictor.describe(facts.data.description.class_names)
    for line in (*predictor, *score_lines(facts, scored)):
        console.print(line, markup=False, soft_wrap=True)


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
