"""Keeps libraries from printing what users of this project do not need. Called at the start of each command."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def quiet_optuna() -> None:
    """Keep Optuna from printing a line for each study that is created or copied."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def quiet_matplotlib() -> None:
    """Let Matplotlib keep its files in the cache folder if the home folder cannot be written.

    It would warn at each start, in this process and in those of the trials, and search for fonts anew.
    """
    if os.environ.get("MPLCONFIGDIR"):
        return
    with suppress(OSError, RuntimeError):
        default = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "matplotlib"
        if not _is_writable(default):
            from trainables.data.prepare import cache_folder  # takes a while, and is not needed elsewhere

            instead = cache_folder() / "matplotlib"
            if _is_writable(instead):
                os.environ["MPLCONFIGDIR"] = str(instead)


def _is_writable(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)
