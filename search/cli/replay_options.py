"""The command line of the replay."""

from __future__ import annotations

import argparse
from pathlib import Path

from search.cli.option_types import int_at_least
from search.sampling.samplers import SAMPLERS
from search.scheduling.schedulers import SCHEDULERS
from search.study.rung_metric import RUNG_METRICS

EPILOG = """\
Everything lands in the first study's folder, under replay: curves.parquet (the recorded learning curves), replay.csv
(the table), replay.png (best score against epochs).
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python search/replay.py",
        description="Replay recorded studies in virtual time, to find the search settings that need the fewest epochs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument(
        "studies", type=Path, nargs="+", metavar="RUN", help="folders of studies of one and the same space"
    )
    top.add_argument(
        "--epochs", type=int_at_least(1), metavar="N", help="budget of each search (default: what was recorded)"
    )
    top.add_argument(
        "--slots", nargs="+", type=int_at_least(1), default=[4], metavar="N", help="concurrent trials (default: 4)"
    )
    top.add_argument(
        "--seeds", type=int_at_least(1), default=10, metavar="N", help="searches of each setting (default: 10)"
    )
    top.add_argument("--sampler", nargs="+", choices=tuple(SAMPLERS), default=["forest", "random"])
    top.add_argument("--scheduler", nargs="+", choices=tuple(SCHEDULERS), default=["asha-promotion"])
    top.add_argument("--rung-metric", nargs="+", choices=RUNG_METRICS, default=["best"])
    top.add_argument("--reduction-factor", nargs="+", type=int_at_least(2), default=[2, 3, 4], metavar="N")
    top.add_argument(
        "--grace-epochs", nargs="+", type=int_at_least(1), metavar="N", help="default: 1, 2, 4, ... and no stopping"
    )
    return top
