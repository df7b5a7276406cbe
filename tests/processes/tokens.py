"""Ray's authentication token, on which a cluster and every process that joins it must agree.

Ray has no public functions for a process that has already imported it. The private ones are used only here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._raylet import AuthenticationTokenLoader, Config


def use_token() -> None:
    """Let clusters that this process starts require the user's token, which is generated if there is none.

    A driver that joins a cluster uses the token if there is one. It rejects a cluster that was started without one, and
    each of its actors then ends at once.
    """
    if not (Path.home() / ".ray" / "auth_token").exists():
        command = [str(Path(sys.executable).with_name("ray")), "get-auth-token", "--generate"]
        subprocess.run(command, check=True, capture_output=True)
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # as a driver does that joins a cluster


def read_environment() -> None:
    """Let Ray read the environment of this process again, which it otherwise reads only when it is imported.

    Without this, a process that was forked before its environment was set could start a cluster that requires a token
    (the cluster's processes read RAY_AUTH_MODE), and would then connect to it without one.
    """
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
