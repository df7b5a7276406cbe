"""The command line of the search."""

from __future__ import annotations

import argparse

from search.cli.cluster_options import add_cluster_options, submission_address
from search.cli.option_types import (
    AUTO,
    Workers,
    database,
    decay,
    duration,
    fraction,
    gpu_share,
    int_at_least,
    location,
    override,
    positive,
    share,
    study_name,
    workers,
)
from search.sampling.samplers import SAMPLERS
from search.scheduling.schedulers import SCHEDULERS
from search.study.profiles import PROFILES
from search.study.rung_metric import RUNG_METRICS
from search.study.unet_space import unet_space

EPILOG = """\
The same command again continues the study up to its budget; trials that were stopped or killed resume from
their checkpoints.
Compare trials while it runs: tensorboard --logdir runs/NAME. Report and submission: python reports/run.py runs/NAME.
"""


def _space_text() -> str:
    rows = ["the search space (profile gpu, --space default; --dry-run shows the one that would be used):"]
    for parameter in unet_space(PROFILES["gpu"]).parameters:
        condition = f" [{parameter.describe_condition()}]" if parameter.when else ""
        rows.append(f"  {parameter.name:<28} {parameter.describe_range()}{condition}")
    return "\n".join(rows)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python search/run.py",
        description="Search for the best U-Net for a data set: Optuna proposes, ASHA stops, Ray runs the trials.",
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
        help="npz file or URI (s3://, gs://, file://); default: the built-in synthetic sample",
    )
    study.add_argument("--name", type=study_name, help="the study's name and folder (default: the data's name)")
    study.add_argument(
        "--storage",
        type=location,
        default="runs",
        metavar="DIR|URI",
        help="where studies are kept (default: runs); with a URI checkpoints go there and all else to runs",
    )
    study.add_argument(
        "--ledger",
        type=database,
        metavar="URL",
        help="keep the study in a PostgreSQL database, postgresql://USER@HOST/DATABASE, not in a file in its folder "
        "(which remembers it); the password comes from PGPASSWORD or ~/.pgpass",
    )
    study.add_argument(
        "--seed", type=int_at_least(0), default=0, help="of the split, the sampler and the trials (default: 0)"
    )
    study.add_argument(
        "--dry-run", action="store_true", help="check the data, print the plan, the space and the resources, and stop"
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
        help="stop after this long (90s, 30m, 2h); unfinished trials resume when the study continues",
    )
    budget.add_argument(
        "--then-report",
        action="store_true",
        help="make the report and the submission when the search ends, as python reports/run.py RUN does; a time "
        "budget covers both, and trains the best configuration at full length in the larger part of it",
    )
    budget.add_argument(
        "--epochs-budget",
        type=int_at_least(1),
        metavar="N",
        help="stop when all trials together have trained this many epochs, including earlier runs",
    )
    budget.add_argument(
        "--gpu-hours",
        type=positive,
        metavar="X",
        help="stop when all trials together have used this many GPU-hours, including earlier runs",
    )
    budget.add_argument(
        "--price-per-hour",
        type=positive,
        metavar="X",
        help="price of one GPU-hour, or CPU-hour where trials use no GPU: shows what the study cost",
    )
    budget.add_argument(
        "--max-epochs",
        type=int_at_least(1),
        metavar="N",
        help="maximum number of epochs of a trial (default: the profile's)",
    )

    choice = top.add_argument_group("sampling and early stopping")
    choice.add_argument(
        "--sampler",
        choices=tuple(SAMPLERS),
        default="forest",
        help="what proposes configurations: a forest over configuration and epoch, after a space-filling design; a "
        "mixture of it with TPE and chance; TPE; a Gaussian process; or chance (default: forest)",
    )
    choice.add_argument(
        "--scheduler",
        choices=tuple(SCHEDULERS),
        default="asha-promotion",
        help="ASHA that pauses trials at its rungs and promotes the best, or that only stops the weak ones (default: "
        "asha-promotion)",
    )
    choice.add_argument(
        "--rung-metric",
        choices=RUNG_METRICS,
        default="best",
        help="what ASHA compares at a rung: the score there, the best so far, or a moving average (default: best)",
    )
    choice.add_argument(
        "--grace-epochs",
        type=int_at_least(1),
        metavar="N",
        help="epochs before which no trial is stopped or paused (default: the profile's)",
    )
    choice.add_argument(
        "--reduction-factor",
        type=int_at_least(2),
        default=3,
        metavar="N",
        help="ASHA keeps the best 1/N at each rung (default: 3)",
    )
    choice.add_argument(
        "--audit",
        type=share,
        default=0.0,
        metavar="X",
        help="probability that a trial ASHA would stop or pause runs on, to estimate the false-stop rate (default: 0)",
    )
    choice.add_argument(
        "--patience",
        type=int_at_least(1),
        metavar="N",
        help="early stopping: a trial ends after N epochs without a better score (default: the profile's)",
    )

    choice.add_argument(
        "--space",
        choices=("default", "wide"),
        default="default",
        help="wide adds what others found useless or costly, to try it yourself (default: default)",
    )
    choice.add_argument(
        "--start-from",
        metavar="NAME|systems",
        help="begin with the best configurations of another study (name or folder), or with the systems of the "
        "two reports, as near as the space has them",
    )
    choice.add_argument(
        "--no-portfolio",
        action="store_true",
        help="begin with what the sampler proposes, and not with the four configurations that need no luck",
    )

    systems = top.add_argument_group("systems of the two reports, instead of a search")
    systems.add_argument(
        "--systems",
        nargs="?",
        const="list",
        metavar="NAMES",
        help="run report-a, report-b, all, or names joined by commas, each to its own end; without names: list them",
    )
    systems.add_argument(
        "--seeds", type=int_at_least(1), metavar="N", help="runs of each system, with seeds from --seed on (default: 1)"
    )
    systems.add_argument(
        "--set",
        dest="overrides",
        action="append",
        type=override,
        metavar="KEY=VALUE",
        help="change every system, such as model.width=8; may be repeated",
    )

    trial = top.add_argument_group("trials")
    trial.add_argument(
        "--profile",
        choices=("auto", *PROFILES),
        default="auto",
        help="sizes and lengths that suit the hardware (default: gpu with a GPU, else cpu: narrower and shorter)",
    )
    trial.add_argument(
        "--train-fraction",
        type=fraction,
        default=1.0,
        metavar="X",
        help="train on this fraction of the train part only, for a quick look (default: 1)",
    )
    trial.add_argument(
        "--max-failures",
        type=int_at_least(0),
        default=2,
        metavar="N",
        help="how often a trial may fail and resume from its checkpoint; lost nodes do not count (default: 2)",
    )
    trial.add_argument(
        "--hang-timeout",
        type=duration,
        metavar="TIME",
        help="end the process of a trial that reports nothing for so long, and resume the trial, which counts as a "
        "failure (default: ten times its median epoch and at least 2m); before its first report it has 15m or more",
    )
    trial.add_argument(
        "--precision", choices=("auto", "bf16", "fp32"), default="auto", help="default: bf16 where the hardware has it"
    )
    trial.add_argument(
        "--grad-clip", type=positive, default=1.0, metavar="X", help="upper bound of the gradient norm (default: 1)"
    )
    trial.add_argument(
        "--ema-decay",
        type=decay,
        metavar="X",
        help="evaluate and keep an average of the weights with this decay (default: 0.99; 0, and with --systems: none)",
    )

    resources = top.add_argument_group("resources")
    resources.add_argument(
        "--cpus-per-trial", type=positive, default=1.0, metavar="X", help="of each worker of a trial (default: 1)"
    )
    resources.add_argument(
        "--gpus-per-trial",
        type=gpu_share,
        metavar="X|auto",
        help="of each worker of a trial, fractions too; auto probes one GPU with the space's smallest to largest "
        "configurations and lets as many trials share a GPU as are worthwhile and fit (default: 1 if the cluster has "
        "GPUs, else 0)",
    )
    resources.add_argument(
        "--workers-per-trial",
        type=workers,
        default=Workers(1, 1),
        metavar="N|MIN:MAX",
        help="more than 1: each trial trains in a Ray Train worker group, which with MIN:MAX takes as many workers as "
        "there is room for, continues with fewer when one is lost and grows again. They share the configuration's "
        "batches: batch size, learning rate and steps stay, whatever their number (default: 1)",
    )
    resources.add_argument(
        "--max-concurrent",
        type=int_at_least(1),
        metavar="N",
        help="maximum number of concurrent trials (default: as many as fit)",
    )
    add_cluster_options(top)
    return top


def check_grace(grace_epochs: int, max_epochs: int) -> None:
    """Raises ValueError if a trial ends before ASHA may stop it."""
    if grace_epochs > max_epochs:
        raise ValueError(f"--grace-epochs {grace_epochs} is above --max-epochs {max_epochs}: no trial could be stopped")


def check_together(options: argparse.Namespace) -> None:
    """Options that mean nothing beside others.

    Raises:
        ValueError: naming both.
    """
    if options.gpus_per_trial == AUTO and options.workers_per_trial.most > 1:
        raise ValueError(
            "--gpus-per-trial auto lets trials share a GPU, --workers-per-trial spreads one over several: "
            "with workers give a number"
        )
    if options.view == "events" and submission_address(options) is not None:
        raise ValueError("--view events prints what a search in this process does: not with --address http://...")
    if options.then_report and (options.view == "events" or submission_address(options) is not None):
        raise ValueError("--then-report: the report is made where the study is, not with --address http://...")
    if options.max_epochs is not None and options.grace_epochs is not None:
        check_grace(options.grace_epochs, options.max_epochs)
    if options.systems is None:
        for name, given in (("--seeds", options.seeds), ("--set", options.overrides)):
            if given:
                raise ValueError(f"{name} belongs to --systems")
        return
    searching = {
        "--budget": options.budget is not None,
        "--start-from": options.start_from is not None,
        "--space": options.space != "default",
        "--grace-epochs": options.grace_epochs is not None,
        "--audit": options.audit > 0,
        "--scheduler": options.scheduler != "asha-promotion",
        "--rung-metric": options.rung_metric != "best",
    }
    for name, given in searching.items():
        if given:
            raise ValueError(f"{name} belongs to a search; with --systems each system runs to its own end")
