"""Command-line options of the replay."""

from __future__ import annotations

import argparse

from search.cli.options.option_types import folder, int_at_least
from search.sampling.samplers import SAMPLERS
from search.scheduling.schedulers import SCHEDULERS
from search.study.rung_metric import RUNG_METRICS

EPILOG = """\
The results are written to the folder replay of the first study, or to the folder of --output: curves.parquet (the
recorded learning curves), replay.csv (the table) and replay.png (best score over epochs).
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python search/replay.py",
        description="Replay recorded studies in virtual time to find the search settings that need the fewest epochs.\n"
        "If options have several values, all combinations are tried.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument(
        "studies", type=folder, nargs="+", metavar="RUN", help="folders of recorded studies with the same search space"
    )
    top.add_argument(
        "--output",
        type=folder,
        metavar="FOLDER",
        help="folder for the results, for example where the study's own folder is read-only (default: RUN/replay)",
    )
    top.add_argument(
        "--epochs",
        type=int_at_least(1),
        metavar="N",
        help="number of epochs of each simulated search (default: as many as were recorded)",
    )
    top.add_argument(
        "--slots",
        nargs="+",
        type=int_at_least(1),
        default=[4],
        metavar="N",
        help="numbers of concurrent trials to try (default: 4)",
    )
    top.add_argument(
        "--seeds",
        type=int_at_least(1),
        default=10,
        metavar="N",
        help="number of simulated searches per combination of settings (default: 10)",
    )
    top.add_argument(
        "--sampler",
        nargs="+",
        choices=tuple(SAMPLERS),
        default=["forest", "random"],
        help="samplers to try (default: forest random)",
    )
    top.add_argument(
        "--scheduler",
        nargs="+",
        choices=tuple(SCHEDULERS),
        default=["asha-promotion"],
        help="schedulers to try (default: asha-promotion)",
    )
    top.add_argument(
        "--rung-metric", nargs="+", choices=RUNG_METRICS, default=["best"], help="rung metrics to try (default: best)"
    )
    top.add_argument(
        "--reduction-factor",
        nargs="+",
        type=int_at_least(2),
        default=[2, 3, 4],
        metavar="N",
        help="reduction factors of ASHA to try (default: 2 3 4)",
    )
    top.add_argument(
        "--grace-epochs",
        nargs="+",
        type=int_at_least(1),
        metavar="N",
        help="numbers of epochs before ASHA may stop or pause a trial (default: 1, 2, 4, ... and no stopping)",
    )
    return top
