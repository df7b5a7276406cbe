"""Find better search settings without a GPU: `python search/replay.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts the folder of a script first on sys.path: replace it by the project's root.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.cli.options.replay_parser import parser
from search.exit_status import refuse
from search.home_folder import check_home
from search.interrupts import interrupted, raise_on_signals


def main() -> int:
    options = parser().parse_args()
    try:
        check_home()
        from search.cli.replay_command import run

        run(options)
    except ValueError as error:
        return refuse(error)
    except KeyboardInterrupt as error:
        return interrupted(error, "the same command starts over")
    return 0


if __name__ == "__main__":
    raise_on_signals()
    sys.exit(main())
