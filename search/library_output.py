"""Keeps libraries from printing what users of this project do not need. Called at the start of each command."""

from __future__ import annotations


def quiet_optuna() -> None:
    """Keep Optuna from printing a line for each study that is created or copied."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
