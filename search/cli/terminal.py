"""Where the search command prints: the terminal, or a process that shows the study in another one."""

from __future__ import annotations

import sys

from search.cli.options.search_options import SearchOptions
from search.views.safe_console import Terminal


def terminal(options: SearchOptions) -> Terminal:
    """Return the console of the command. With `--view events`, what it prints are events too."""
    if options.view == "events":  # with colours, but without animations
        from search.views.events import TextEvents

        return Terminal(file=TextEvents(sys.stdout), color_system="standard")
    return Terminal()
