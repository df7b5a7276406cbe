"""The command line of the report."""

from __future__ import annotations

import argparse

from search.cli.options.option_types import duration, folder, int_at_least, location

EPILOG = """\
Everything is written to RUN/report, or to the folder of --output: report.html, leaderboard.csv, leaderboard.parquet,
predictor.json, submission.csv (for images with names: the folder masks), the bundle model (weights, settings, model
card, ONNX file; see docs/models.md), and the checkpoints of the finalist and of the final training. A training that was
stopped resumes after its last finished epoch when the same command runs again.
"""


def check_together(options: argparse.Namespace) -> None:
    """Refuse options that have no effect in combination with others.

    Raises:
        ValueError: for two such options; names both.
    """
    if options.trial is not None and options.members is not None:
        raise ValueError("--members chooses among the best trials, and --trial takes one: give only one of them")
    for switch, off in (("--no-submission", options.no_submission), ("--no-retrain", options.no_retrain)):
        for name, given in (("--check-retrain", options.check_retrain), ("--time-budget", options.time_budget)):
            if off and given:
                raise ValueError(f"{name} needs the final training, which {switch} leaves out: give only one of them")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python reports/run.py",
        description="Report on a study: leaderboard, score on held-out images, final training, submission.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("study", type=folder, metavar="RUN", help="the study's folder, such as runs/sample")
    top.add_argument("--data", type=location, metavar="FILE|URI", help="where the study's data is now, if it has moved")
    top.add_argument(
        "--checkpoints",
        type=location,
        metavar="FOLDER|URI",
        help="where the study's checkpoints are now, if they have moved: the folder that holds the trials' folders",
    )
    top.add_argument(
        "--trial",
        type=int_at_least(0),
        metavar="N",
        help="report on trial N alone, and export its model; its weights must exist: a search keeps those of the best "
        "trials (default: the best trials); "
        "everything is written to RUN/report/trial-000N",
    )
    top.add_argument(
        "--output",
        type=folder,
        metavar="FOLDER",
        help="folder for everything that is written, for example where the study's own folder is read-only (default: "
        "RUN/report)",
    )
    final = top.add_argument_group("final model and submission")
    final.add_argument(
        "--members",
        type=int_at_least(1),
        metavar="N",
        help="average the probabilities of up to N of the best trials, if that improves the validation score by more "
        "than its noise (default: 3, the number whose weights a search keeps; 1: the best trial alone)",
    )
    final.add_argument(
        "--plain-labels",
        action="store_true",
        help="label each pixel with its most probable class, without fitting a decision on the validation part",
    )
    final.add_argument(
        "--time-budget",
        type=duration,
        metavar="TIME",
        help="time to spend, such as 30m: on a longer and possibly wider training of the best configuration, judged on "
        "the validation part, and on the final training that repeats it (default: the final training alone, without a "
        "limit)",
    )
    final.add_argument(
        "--check-retrain",
        action="store_true",
        help="first try the final training on the train and validation parts; if it scores lower on the test part, use "
        "the search's weights instead",
    )
    final.add_argument(
        "--no-retrain",
        action="store_true",
        help="predict with the search's best model instead of one retrained on all labelled data",
    )
    final.add_argument(
        "--no-submission", action="store_true", help="write the report only: no final training, no submission"
    )
    final.add_argument(
        "--no-onnx",
        action="store_true",
        help="leave the ONNX file out of the bundle RUN/report/model; its export takes from seconds to minutes",
    )
    final.add_argument(
        "--allow-ignored", action="store_true", help="allow the ignored class in the submission (default: suppressed)"
    )
    return top
