"""`mars-search run|report|replay|status`: the scripts under one name, for those who have installed the project."""

from __future__ import annotations

import runpy
import sys

from search import ROOT
from search.exit_status import USER_ERROR, refuse

USAGE = """\
usage: mars-search COMMAND ...

commands:
  run        search for the best U-Net: as python search/run.py
  report     report on a study, train its best configuration, predict: as python reports/run.py
  replay     find better search settings from recorded learning curves: as python search/replay.py
  status     list the studies, or show one: as python search/run.py --status

mars-search COMMAND --help lists the options of each.
"""
COMMANDS = {
    "run": ("search/run.py", ()),
    "report": ("reports/run.py", ()),
    "replay": ("search/replay.py", ()),
    "status": ("search/run.py", ("--status",)),
}


def main() -> None:
    """Run the script of the command that the first argument names, with the other arguments, as if started itself."""
    name, *arguments = sys.argv[1:] or [""]
    if name in ("-h", "--help"):
        print(USAGE, end="")
    elif name not in COMMANDS:
        if name:
            refuse(ValueError(f"{name!r} is no command"))
        print(USAGE, end="", file=sys.stderr)
        sys.exit(USER_ERROR)
    else:
        script, options = COMMANDS[name]
        path = str(ROOT / script)
        # A script finds its own folder first on the path, and replaces it by the project's.
        sys.argv, sys.path[0] = [path, *options, *arguments], path.rpartition("/")[0]
        runpy.run_path(path, run_name="__main__")
