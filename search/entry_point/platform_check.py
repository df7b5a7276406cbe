"""Checks Python and the operating system before anything is imported that needs them.

This module and the scripts keep to the syntax of Python 3.6, so that an old Python can say what is wrong.
"""

import sys

OLDEST = (3, 11)


def check_platform() -> None:
    """End the process with one line where this project cannot run; warn where it has not been tried."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        _end(
            f"Python 3.11 or newer is needed, and {sys.executable} is Python {found}: run the command with the Python "
            "of the environment in which the project is installed (make search sets up .venv)"
        )
    if sys.platform in ("win32", "cygwin"):
        _end(
            "Windows is not supported: run it in WSL 2, the Windows Subsystem for Linux "
            "(https://learn.microsoft.com/windows/wsl/install)"
        )
    if sys.platform != "linux":
        name = "macOS" if sys.platform == "darwin" else sys.platform
        _say(f"warning: it has been tried on Linux only, not on {name}")


def _end(why: str) -> None:
    _say(f"error: {why}")
    sys.exit(2)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
