"""Prints what a data set is like: `python -m trainables.data.describe SOURCE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from trainables.data.describe.facts import summarise
from trainables.data.describe.proposal import propose
from trainables.data.prepare import prepare
from trainables.data.source import SAMPLE, DataSource
from trainables.errors import clean


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m trainables.data.describe",
        description="Print the sizes, intensities, classes and objects of a data set, and the sizes of crops, networks "
        "and batches that suit it. A search uses them by default.",
        allow_abbrev=False,
    )
    top.add_argument(
        "source", nargs="?", default=SAMPLE, metavar="SOURCE", help="path or URI of the data set (default: sample)"
    )
    top.add_argument("--images", metavar="NAME", help="where the images are, as for the search")
    top.add_argument("--masks", metavar="NAME", help="where the masks are, as for the search")
    top.add_argument("--ignored-label", type=int, metavar="VALUE", help="value of unlabelled pixels in the masks")
    top.add_argument("--seed", type=int, default=0, help="random seed of the split (default: 0)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    source = DataSource(
        uri=given.source,
        seed=given.seed,
        images=given.images,
        masks=given.masks,
        ignored_label=given.ignored_label,
    )
    try:
        data = prepare(source)
    except ValueError as error:
        print(f"error: {clean(str(error))}", file=sys.stderr)
        return 2
    found = summarise(data)
    for line in (data.report.summary(), *found.lines(), "proposed:", *propose(found).lines()):
        print(clean(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
