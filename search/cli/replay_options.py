"""The command line of the replay."""

from __future__ import annotations

import argparse
from pathlib import Path

from search.cli.option_types import whole

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
    top.add_argument("--epochs", type=whole(1), metavar="N", help="budget of each search (default: what was recorded)")
    top.add_argument(
        "--slots", nargs="+", type=whole(1), default=[4], metavar="N", help="trials side by side (default: 4)"
    )
    top.add_argument("--seeds", type=whole(1), default=10, metavar="N", help="searches of each setting (default: 10)")
    top.add_argument(
        "--sampler", nargs="+", choices=("forest", "mixture", "tpe", "gp", "random"), default=["forest", "random"]
    )
    top.add_argument("--asha", nargs="+", choices=("promotion", "stopping"), default=["promotion"])
    top.add_argument("--judge", nargs="+", choices=("last", "best", "ema"), default=["best"])
    top.add_argument("--reduction-factor", nargs="+", type=whole(2), default=[2, 3, 4], metavar="N")
    top.add_argument(
        "--grace-epochs", nargs="+", type=whole(1), metavar="N", help="default: 1, 2, 4, ... and no stopping"
    )
    return top
