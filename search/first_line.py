"""The first line of a command: it says at once what the command does, before the imports that take seconds."""

from __future__ import annotations

import json

from search.formatting import clean


def announce(text: str, *, as_event: bool = False) -> None:
    """Print a line. `as_event`: as a line of `--view events`, which holds nothing but JSON."""
    line = clean(text)
    event = json.dumps({"event": "text", "text": f"{line}\n"})
    print(event if as_event else line, flush=True)
