"""Find better search settings without a GPU: `python search/replay.py --help`."""

import sys
from pathlib import Path

# Python puts the folder of a script first on sys.path: replace it by the project's root.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.entry_point.platform_check import check_platform

check_platform()

from search.cli.options.replay_parser import parser
from search.entry_point.run_script import run_script
from search.first_line import announce
from search.home_folder import check_home
from trainables.errors import listed


def main() -> int:
    options = parser().parse_args()
    check_home()
    announce(f"reading the learning curves of {listed(options.studies)}")
    from search.cli.replay_command import run

    run(options)
    return 0


if __name__ == "__main__":
    run_script(main, if_interrupted="the same command starts over")
