"""The token of Ray, which a cluster and all that join it must agree on.

Ray has no public functions for a process that has imported it already: these are private to Ray, and used here only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._raylet import AuthenticationTokenLoader, Config


def use_token() -> None:
    """Let clusters that this process starts ask for the user's token, which is made if there is none.

    A driver that joins one uses the token where there is one; a cluster that was started without would not be let in by
    that driver, and each of its actors would end at once.
    """
    if not (Path.home() / ".ray" / "auth_token").exists():
        command = [str(Path(sys.executable).with_name("ray")), "get-auth-token", "--generate"]
        subprocess.run(command, check=True, capture_output=True)
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # what a driver calls that joins a cluster


def read_environment() -> None:
    """Let Ray, which read it when it was imported, read the environment of this process again.

    Else a process that was forked before its environment was set would start clusters that ask for a token, as their
    processes read RAY_AUTH_MODE, and come to them without one.
    """
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
