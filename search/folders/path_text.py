"""Paths as text: a ledger, Ray and PyArrow take paths that are UTF-8 only."""

from __future__ import annotations

import os
import sys


def check_text(path: str) -> None:
    """Check that a path is text in UTF-8, in one line.

    Raises:
        ValueError: if it is not; the path is shown escaped.
    """
    if any(character in path for character in "\0\n\r"):
        raise ValueError(f"{path!r}: a path must not contain line breaks: rename it")
    try:
        path.encode()
        return
    except UnicodeEncodeError:
        pass
    try:
        os.fsencode(path).decode()
    except UnicodeError:
        raise ValueError(f"'{shown(path)}': its name is not UTF-8, which a study's paths must be: rename it") from None
    raise ValueError(
        f"{shown(path)!r}: the locale's encoding ({sys.getfilesystemencoding()}) lacks characters of "
        "this path: set PYTHONUTF8=1"
    )


def shown(path: str) -> str:
    r"""Return a path for people: bytes that are not UTF-8 are escaped, as in `b\xffd`."""
    return os.fsencode(path).decode(errors="backslashreplace")
