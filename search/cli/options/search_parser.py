"""Command-line options of the search."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from search.cli.options.cluster_parser import add_cluster_options
from search.cli.options.option_conflicts import check_conflicts
from search.cli.options.option_types import (
    Workers,
    class_names,
    crop,
    database,
    decay,
    duration,
    fraction,
    gpu_share,
    int_at_least,
    location,
    metric,
    override,
    positive,
    regular_expression,
    seed,
    share,
    study_name,
    workers,
)
from search.cli.options.search_options import SearchOptions
from search.sampling.samplers import SAMPLERS
from search.scheduling.schedulers import SCHEDULERS
from search.study.profiles import PROFILES
from search.study.rung_metric import RUNG_METRICS
from search.study.unet_space import unet_space

EPILOG = """\
Running the same command again continues the study up to its budget: interrupted trials resume from their checkpoints.
To compare trials during the search: tensorboard --logdir runs/NAME.
To make the report and the submission: python reports/run.py runs/NAME.
"""


def _space_text() -> str:
    rows = ["search space (for profile gpu and --space default; --dry-run shows the space of a given command):"]
    for parameter in unet_space(PROFILES["gpu"]).parameters:
        condition = f" [{parameter.describe_condition()}]" if parameter.when else ""
        rows.append(f"  {parameter.name:<28} {parameter.describe_range()}{condition}")
    return "\n".join(rows)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python search/run.py",
        description="Search for the best U-Net for a data set. An Optuna sampler proposes configurations,\n"
        "Ray Tune runs the trials, and ASHA stops the weak ones early.",
        epilog=f"{_space_text()}\n\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    study = top.add_argument_group("study")
    study.add_argument(
        "--data",
        type=location,
        default="sample",
        metavar="FILE|URI",
        help="data set, as a path or URI (s3://, gs://, file://): an npz file, a folder of images and masks, COCO "
        "annotations, Parquet, or AI4Mars (default: sample, a small built-in synthetic data set)",
    )
    study.add_argument(
        "--images",
        type=location,
        metavar="NAME",
        help="where the images are, if not under a usual name: the sub-folder, the key of an npz file, the column of a "
        "Parquet file, or, for COCO annotations, the folder of the images (default: images, image, ...)",
    )
    study.add_argument(
        "--masks",
        type=location,
        metavar="NAME",
        help="where the masks are, if not under a usual name: the sub-folder, key or column (default: masks, labels, "
        "...)",
    )
    study.add_argument(
        "--ignored-label",
        type=int_at_least(-1),
        metavar="VALUE",
        help="value of unlabelled pixels in the masks, which neither train nor score (default: as the data says; 255 "
        "beside at least two other values)",
    )
    study.add_argument(
        "--split",
        choices=("random", "grouped", "given"),
        help="which images are in the train, validation and test part: random 80/10/10; grouped, which never separates "
        "images that belong together; or the split that the data has (default: given if it has one, else random)",
    )
    study.add_argument(
        "--group-pattern",
        type=regular_expression,
        metavar="REGEX",
        help="with --split grouped: a regular expression that is searched for in the names of the images; those in "
        "which its first parenthesised group, or without one all of it, matches the same text belong together "
        "(default: the groups that the data has, else images that overlap or are nearly the same)",
    )
    study.add_argument(
        "--crop",
        type=crop,
        metavar="HxW|auto",
        help="height and width of the random crops that trials train on, and of the tiles in which images are "
        "predicted (default: auto, which is whole images if all have one size of at most 256x256 pixels, else crops "
        "of at most that size)",
    )
    study.add_argument(
        "--keep-outliers",
        action="store_true",
        help="keep the images that the rules about shared masks and brightness find unusable, with a warning (default: "
        "drop them, unless they are more than 1 %% of the images or most of a class)",
    )
    study.add_argument(
        "--drop-list",
        type=location,
        metavar="FILE",
        help="drop the images that a text file lists, with the name or the index of an image on each line; # begins a "
        "comment; the rules look at the others (default: none)",
    )
    study.add_argument(
        "--name",
        type=study_name,
        help="name of the study, which is also the name of its folder (default: the name of the data set)",
    )
    study.add_argument(
        "--storage",
        type=location,
        default="runs",
        metavar="DIR|URI",
        help="folder for studies; with a URI, the checkpoints are stored there and everything else in runs (default: "
        "runs)",
    )
    study.add_argument(
        "--ledger",
        type=database,
        metavar="URL",
        help="PostgreSQL database for the ledger, postgresql://USER@HOST/DATABASE; its password is read from "
        "PGPASSWORD or ~/.pgpass, and later commands need no --ledger (default: a file in the study's folder)",
    )
    study.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="random seed of the data split, the sampler and the trials (default: 0)",
    )
    study.add_argument(
        "--dry-run",
        action="store_true",
        help="check the data, print the plan, the search space and the resources, and exit",
    )

    budget = top.add_argument_group("budget")
    budget.add_argument(
        "--budget",
        type=int_at_least(1),
        metavar="N",
        help="total number of trials, including earlier runs (default: 50)",
    )
    budget.add_argument(
        "--time-budget",
        type=duration,
        metavar="TIME",
        help="maximum duration of this run (90s, 30m, 1h30m, 2:00:00); unfinished trials resume when the study "
        "continues (default: no limit)",
    )
    budget.add_argument(
        "--then-report",
        action="store_true",
        help="make the report and the submission after the search, as python reports/run.py does; --time-budget then "
        "covers both, and most of it is spent on training the best configuration at full length",
    )
    budget.add_argument(
        "--epochs-budget",
        type=int_at_least(1),
        metavar="N",
        help="maximum number of epochs of all trials together, including earlier runs; running trials still end their "
        "epoch, so up to one more for each but the last to report (default: no limit)",
    )
    budget.add_argument(
        "--gpu-hours",
        type=positive,
        metavar="X",
        help="maximum number of GPU-hours of all trials together, including earlier runs (default: no limit)",
    )
    budget.add_argument(
        "--price-per-hour",
        type=positive,
        metavar="X",
        help="price of one GPU-hour (of one CPU-hour if trials use no GPU), used to show the cost of the study",
    )
    budget.add_argument(
        "--max-epochs",
        type=int_at_least(1),
        metavar="N",
        help="maximum number of epochs of a trial (default: set by the profile)",
    )

    choice = top.add_argument_group("sampling and early stopping")
    choice.add_argument(
        "--metric",
        type=metric,
        default="mean_iou",
        metavar="NAME",
        help="score that the search maximises and the report ranks by: mean_iou or dice, the mean over classes, or "
        "class_iou:NAME, the IoU of one class (default: mean_iou)",
    )
    choice.add_argument(
        "--score-classes",
        type=class_names,
        metavar="NAMES",
        help="names of the classes that count in the score, separated by commas; others are trained and predicted all "
        "the same (default: all but the ignored one)",
    )
    choice.add_argument(
        "--sampler",
        choices=tuple(SAMPLERS),
        default="forest",
        help="sampler that proposes configurations: forest is a random forest over configuration and epoch, after a "
        "space-filling design; mixture alternates between forest, TPE and random sampling; tpe is Optuna's TPE; gp is "
        "a Gaussian process; random is random sampling (default: forest)",
    )
    choice.add_argument(
        "--scheduler",
        choices=tuple(SCHEDULERS),
        default="asha-promotion",
        help="form of ASHA: asha-promotion pauses each trial at every rung and promotes the best; asha-stopping only "
        "stops the weak trials at a rung (default: asha-promotion)",
    )
    choice.add_argument(
        "--rung-metric",
        choices=RUNG_METRICS,
        default="best",
        help="score that ASHA compares at a rung: of the last epoch (last), the best so far (best), or an exponential "
        "moving average (ema) (default: best)",
    )
    choice.add_argument(
        "--grace-epochs",
        type=int_at_least(1),
        metavar="N",
        help="number of epochs that each trial runs before ASHA may stop or pause it (default: set by the profile)",
    )
    choice.add_argument(
        "--reduction-factor",
        type=int_at_least(2),
        default=3,
        metavar="N",
        help="reduction factor of ASHA, which keeps the best 1/N of the trials at each rung (default: 3)",
    )
    choice.add_argument(
        "--audit",
        type=share,
        default=0.0,
        metavar="X",
        help="probability that a trial continues although ASHA would stop or pause it, which estimates the rate of "
        "false stops (default: 0)",
    )
    choice.add_argument(
        "--patience",
        type=int_at_least(1),
        metavar="N",
        help="number of epochs without a better score after which early stopping ends a trial (default: set by the "
        "profile)",
    )

    choice.add_argument(
        "--space",
        choices=("default", "wide"),
        default="default",
        help="search space: wide adds choices that others found useless or costly (default: default)",
    )
    choice.add_argument(
        "--start-from",
        metavar="NAME|systems",
        help="start with the best configurations of another study, given by its name or folder, or with the systems of "
        "the two reports, using the nearest values that the space has (default: start with the portfolio)",
    )
    choice.add_argument(
        "--no-portfolio",
        action="store_true",
        help="do not start with the portfolio, which is four hand-picked configurations, but with the sampler's "
        "proposals",
    )

    systems = top.add_argument_group("systems of the two reports, instead of a search")
    systems.add_argument(
        "--systems",
        nargs="?",
        const="list",
        metavar="NAMES",
        help="train systems without ASHA: report-a, report-b, all, or their names separated by commas; without a "
        "value, list the systems and exit",
    )
    systems.add_argument(
        "--seeds",
        type=int_at_least(1),
        metavar="N",
        help="number of trials of each system, with consecutive seeds starting at --seed (default: 1)",
    )
    systems.add_argument(
        "--set",
        dest="overrides",
        action="append",
        type=override,
        metavar="KEY=VALUE",
        help="override a setting of every system, for example model.width=8; can be given more than once",
    )

    trial = top.add_argument_group("trials")
    trial.add_argument(
        "--profile",
        choices=("auto", *PROFILES),
        default="auto",
        help="network sizes and trial lengths to search: gpu, or cpu with narrower networks and shorter trials "
        "(default: auto, which is gpu if the cluster has a GPU, otherwise cpu, with the depths and batch sizes that "
        "suit the images: --dry-run says why)",
    )
    trial.add_argument(
        "--train-fraction",
        type=fraction,
        default=1.0,
        metavar="X",
        help="fraction of the train part that trials are trained on; lower it for a quick test (default: 1)",
    )
    trial.add_argument(
        "--max-failures",
        type=int_at_least(0),
        default=2,
        metavar="N",
        help="how often a trial may fail and still resume from its checkpoint; lost nodes do not count (default: 2)",
    )
    trial.add_argument(
        "--hang-timeout",
        type=duration,
        metavar="TIME",
        help="maximum time without a report from a trial; its process is then killed and the trial resumes, which "
        "counts as a failure; the first report may always take 15m (default: ten times the trial's median epoch, but "
        "at least 2m)",
    )
    trial.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp32"),
        default="auto",
        help="numerical precision of training (default: auto, which is bf16 if the hardware supports it, otherwise "
        "fp32)",
    )
    trial.add_argument(
        "--grad-clip",
        type=positive,
        default=1.0,
        metavar="X",
        help="maximum gradient norm; larger gradients are clipped (default: 1)",
    )
    trial.add_argument(
        "--ema-decay",
        type=decay,
        metavar="X",
        help="decay of the exponential moving average of the weights, which is evaluated and saved instead of the "
        "weights; 0: no average (default: 0.99; with --systems no average)",
    )

    resources = top.add_argument_group("resources")
    resources.add_argument(
        "--cpus-per-trial",
        type=positive,
        default=1.0,
        metavar="X",
        help="number of CPUs of a trial, or of each of its workers if it has several (default: 1)",
    )
    resources.add_argument(
        "--gpus-per-trial",
        type=gpu_share,
        metavar="X|auto",
        help="number of GPUs of a trial, or of each of its workers if it has several; may be a fraction. auto probes "
        "one GPU with configurations of increasing size and lets as many trials share a GPU as fit and raise the "
        "throughput (default: 1 if the cluster has GPUs, otherwise 0)",
    )
    resources.add_argument(
        "--workers-per-trial",
        type=workers,
        default=Workers(1, 1),
        metavar="N|MIN:MAX",
        help="number of workers of each trial; with more than 1, a trial is trained by a Ray Train worker group. With "
        "MIN:MAX the group is elastic: it starts with as many workers as fit, continues with fewer when one is lost, "
        "and grows again. The workers split each batch, so their number does not change the batch size, the learning "
        "rate or the number of steps (default: 1)",
    )
    resources.add_argument(
        "--max-concurrent",
        type=int_at_least(1),
        metavar="N",
        help="maximum number of concurrent trials (default: as many as fit into the cluster)",
    )
    add_cluster_options(top)
    return top


def parse(arguments: Sequence[str] | None = None) -> SearchOptions:
    """Parse a command line; by default that of this process. Exits for --help and for invalid values.

    Raises:
        ValueError: if options cannot be combined, or for an unknown system; the message names them.
    """
    given = vars(parser().parse_args(arguments))
    systems = given["systems"]
    given["list_systems"] = systems == "list"
    if systems is not None:
        from search.study.systems import choose_systems

        given["systems"] = None if given["list_systems"] else choose_systems(systems)
    given["overrides"] = dict(given["overrides"] or ())
    given["rename"] = given["rename"] and tuple(given["rename"])
    options = SearchOptions(**given)
    check_conflicts(options)
    return options
