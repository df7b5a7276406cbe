"""URIs of object stores. They must not contain access keys, because a study records and displays its URIs."""

from __future__ import annotations

import re

_KEYS = re.compile(r"(?<=://)(?:[^/@]*:[^@]*@)|(?<=^s3://)[^/@]*@")


def check_keyless(uri: str) -> None:
    """Check that a path or URI contains no access keys.

    Raises:
        ValueError: if it does. The message does not repeat them.
    """
    if _KEYS.search(uri):
        raise ValueError(
            "leave the keys out of the URI: every user of the machine can see the command line. Keys are read from the "
            "environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or from ~/.aws/credentials"
        )


def quoted(uri: str) -> str:
    """Return the URI with its spaces encoded, as `pyarrow.fs` requires them to be."""
    return uri.replace(" ", "%20")


def without_keys(uri: str) -> str:
    """Return the URI without access keys, which older versions accepted in it. The environment provides them."""
    return _KEYS.sub("", uri)
