"""The command `mars-search run|report|predict|replay|status`: the scripts under one name, once they are installed."""

from __future__ import annotations

import runpy
import sys

from search import ROOT
from search.exit_status import USER_ERROR, refuse

USAGE = """\
usage: mars-search COMMAND ...

commands:
  run        search for the best U-Net (same as python search/run.py)
  report     report on a study, train its best configuration, predict (same as python reports/run.py)
  predict    predict new images with a study's model (same as python reports/predict.py)
  replay     find better search settings from recorded learning curves (same as python search/replay.py)
  status     list the studies, or show one (same as python search/run.py --status)

mars-search COMMAND --help lists the options of a command.
"""
COMMANDS = {
    "run": ("search/run.py", ()),
    "report": ("reports/run.py", ()),
    "predict": ("reports/predict.py", ()),
    "replay": ("search/replay.py", ()),
    "status": ("search/run.py", ("--status",)),
}


def main() -> None:
    """Run the script of the command that the first argument names, and pass it the other arguments."""
    name, *arguments = sys.argv[1:] or [""]
    if name in ("-h", "--help"):
        print(USAGE, end="")
    elif name not in COMMANDS:
        if name:
            refuse(ValueError(f"{name!r} is not a command"))
        print(USAGE, end="", file=sys.stderr)
        sys.exit(USER_ERROR)
    else:
        script, options = COMMANDS[name]
        path = str(ROOT / script)
        # As Python would, put the script's own folder first on sys.path: the script replaces it by the project's root.
        sys.argv, sys.path[0] = [path, *options, *arguments], path.rpartition("/")[0]
        runpy.run_path(path, run_name="__main__")
