"""Search for the best U-Net: `python search/run.py --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Started as a script, Python looks for modules in this file's folder first: look in the project's instead.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.options import parser

USER_ERROR = 2


def main() -> int:
    options = parser().parse_args()  # ends here, at once, for --help and for options that make no sense
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

    try:
        # The data is checked before what takes seconds to import.
        from trainables.data import DataSource, prepare

        data = prepare(DataSource(uri=options.data, seed=options.seed))

        from search.command import run

        return run(options, data)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
