"""The folder for what is made once and used by many processes of a node, such as prepared data."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "MARS_SEARCH_CACHE"
"""Environment variable that sets the cache folder."""


def cache_folder() -> Path:
    """Return the folder. Raises RuntimeError if no variable sets it, and there is no home folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "mars-search")
