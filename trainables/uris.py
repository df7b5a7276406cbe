"""URIs of object stores. Keys never stand in one: they would be recorded with a study, and shown."""

from __future__ import annotations

import re

_KEYS = re.compile(r"(?<=://)(?:[^/@]*:[^@]*@)|(?<=^s3://)[^/@]*@")


def check_keyless(uri: str) -> None:
    """Raises ValueError if a path or URI holds keys. The message does not."""
    if _KEYS.search(uri):
        raise ValueError(
            "leave the keys out of the URI, every user of the machine sees a command line: they are taken from the "
            "environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or from ~/.aws/credentials"
        )


def without_keys(uri: str) -> str:
    """The URI without the keys that an older version let it have; the environment has them."""
    return _KEYS.sub("", uri)
