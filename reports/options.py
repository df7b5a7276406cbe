"""The command line of the report."""

from __future__ import annotations

import argparse
from pathlib import Path

from search.cli.option_types import duration, int_at_least, location

EPILOG = """\
Everything lands in RUN/report: report.html, leaderboard.csv, leaderboard.parquet, predictor.json, submission.csv, and
the weights of the finalist and of the final training. A training that was stopped resumes after its last finished epoch
when the same command runs again.
"""


def check_together(options: argparse.Namespace) -> None:
    """Options that mean nothing beside others.

    Raises:
        ValueError: naming both.
    """
    for switch, off in (("--no-submission", options.no_submission), ("--no-retrain", options.no_retrain)):
        for name, given in (("--check-retrain", options.check_retrain), ("--time-budget", options.time_budget)):
            if off and given:
                raise ValueError(f"{name} is about the final training, which {switch} leaves out")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python reports/run.py",
        description="Report on a study: leaderboard, score on held-out images, final training, submission.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("study", type=Path, metavar="RUN", help="the study's folder, such as runs/sample")
    top.add_argument("--data", type=location, metavar="FILE|URI", help="where the study's data is now, if it has moved")
    top.add_argument(
        "--checkpoints",
        type=location,
        metavar="FOLDER|URI",
        help="where the study's checkpoints are now, if they have moved: the folder of the trials' folders",
    )
    final = top.add_argument_group("final model and submission")
    final.add_argument(
        "--members",
        type=int_at_least(1),
        default=3,
        metavar="N",
        help="average the probabilities of up to N of the best trials, where the validation part says that it helps by "
        "more than its noise (default: 3, whose weights a search keeps; 1: the best trial alone)",
    )
    final.add_argument(
        "--plain-labels",
        action="store_true",
        help="label each pixel with its most probable class, and fit no other decision on the validation part",
    )
    final.add_argument(
        "--time-budget",
        type=duration,
        metavar="TIME",
        help="spend so long, such as 30m: on a longer, perhaps wider training of the best configuration, which the "
        "validation part judges, and the final training that repeats it (default: the final training alone, as long "
        "as it takes)",
    )
    final.add_argument(
        "--check-retrain",
        action="store_true",
        help="before the final training try it on train and validation part: where it loses on the test part, the "
        "search's weights predict",
    )
    final.add_argument(
        "--no-retrain",
        action="store_true",
        help="predict with the search's best model instead of one retrained on all labelled data",
    )
    final.add_argument("--no-submission", action="store_true", help="neither retrain nor predict: the report only")
    final.add_argument(
        "--allow-ignored", action="store_true", help="let the submission hold the ignored class (default: suppressed)"
    )
    return top
