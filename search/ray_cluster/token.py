"""Ray's token, which lets its holder run code on the cluster. It is readable by this user and sent to Ray only."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

TOKEN = Path("~/.ray/auth_token")
"""Ray's default token file."""
TOKEN_HELP = "every node and client of a cluster needs the same token, in ~/.ray/auth_token or RAY_AUTH_TOKEN"
LOOPBACK = ("localhost", "127.0.0.0/8", "127.0.0.1", "::1")


def keep_token_private() -> None:
    """Create Ray's token file readable by this user only, and make an existing one private.

    Ray itself would create a file that every user can read. If the home folder is read-only or another user's, this
    process and those that it starts use a token of their own. Nothing is done if the environment provides a token, or
    if it disables tokens (RAY_AUTH_MODE).
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = TOKEN.expanduser()
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            _make(path)
        with suppress(OSError):  # a token that cannot be made private is still this user's
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o600)
        usable = bool(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        usable = False
    if not usable:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _make(path: Path) -> None:
    """Write the token atomically; among several drivers, the first one creates it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as new:  # readable by this user only
        new.write(secrets.token_hex(32))
        new.flush()
        with suppress(FileExistsError):
            os.link(new.name, path)


def pass_by_proxies() -> None:
    """Bypass proxies for requests to this machine, because requests to Ray's dashboard contain the token."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*known, *(host for host in LOOPBACK if host not in known)])
