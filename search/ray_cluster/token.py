"""Ray's token, with which anybody may run code on a cluster: for this user alone, and shown to the cluster alone."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

TOKEN = Path("~/.ray/auth_token")
"""Where Ray keeps its own."""
LOOPBACK = ("localhost", "127.0.0.0/8", "127.0.0.1", "::1")


def keep_token_private() -> None:
    """Make the token that Ray would make for all to read, and take an existing one from the others' sight.

    One that the environment names is left as it is, and so is Ray without any (RAY_AUTH_MODE).
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = TOKEN.expanduser()
    with suppress(OSError):  # then Ray says why
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)


def _make(path: Path) -> None:
    """Whole or not at all, and the first of several drivers makes it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as new:  # readable by this user alone
        new.write(secrets.token_hex(32))
        new.flush()
        with suppress(FileExistsError):
            os.link(new.name, path)


def pass_by_proxies() -> None:
    """Let no proxy hear what goes to this machine itself: requests to Ray's dashboard show the token."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*known, *(host for host in LOOPBACK if host not in known)])
