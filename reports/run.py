"""Report on a study, retrain its best configuration, predict the test set: `python reports/run.py --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Python searches the folder of a script for modules first. Search the root of the project instead.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from reports.options import check_together, parser
from search.exit_status import refuse
from search.home_folder import check_home
from search.interrupts import interrupted, raise_on_signals


def main() -> int:
    options = parser().parse_args()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        check_home()
        check_together(options)
        from reports.command import run

        run(options)
    except ValueError as error:
        return refuse(error)
    except KeyboardInterrupt as error:
        return interrupted(error, "the same command continues after the last finished epoch")
    return 0


if __name__ == "__main__":
    raise_on_signals()
    sys.exit(main())
