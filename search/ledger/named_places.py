"""Databases and object stores that the user has named: credentials are sent to no others.

A study's folder records where its ledger, its data and its checkpoints are. The folder may come from somebody else, and
using these places would send the user's password (PGPASSWORD, ~/.pgpass) or keys (AWS_ACCESS_KEY_ID, ...) to any host
that it names. So the places that the user names on a command line are noted in a file of that user, and only those are
used. Stores without options (`s3://bucket/key`, `gs://bucket/key`) need no note: their hosts are the cloud provider's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from search.storage.location import LedgerPlace, same_database
from trainables.uris import check_keyless

CLOUDS = ("s3", "gs", "gcs", "file")
"""Schemes whose host is the cloud provider's, or this machine, unless an option overrides it."""


def reachable_place(folder: Path, url: str | None = None) -> LedgerPlace:
    """Return where the ledger of the study in that folder is or will be, with a URL that the user has named.

    Args:
        folder: folder of the study.
        url: URL of the database that the command line names, if any; it is noted.

    Raises:
        ValueError: if the study has its ledger elsewhere, or in a database that the user has never named.
    """
    place = LedgerPlace.of(folder, url)
    if url is not None:
        name_database(url)
    elif place.url is not None:
        named = [known for known in _noted() if known.startswith("postgresql:") and same_database(known, place.url)]
        if not named:
            raise ValueError(
                f"{folder}: its ledger is in a database, {place.url}, that you have not named yet: if you trust it "
                f"with your password, name it once: python search/run.py --storage {folder.parent} --status "
                f"{folder.name} --ledger {place.url}"
            )
        return LedgerPlace(folder, place.url if place.url in named else named[-1], place.study)
    return place


def name_database(url: str) -> None:
    """Note a database that the command line names."""
    _note(url)


def name_store(uri: str) -> None:
    """Note the store of a URI that the command line names; a local path needs no note."""
    if "://" in uri and not _is_free(uri):
        _note(_store(uri))


def followed(uri: str, folder: Path, option: str) -> str:
    """Return a path or URI from the ledger of the study in that folder, if it may be used.

    Args:
        uri: the recorded path or URI.
        folder: folder of the study.
        option: command-line option with which the user can name it, or replace it.

    Raises:
        ValueError: if it is in a store that the user has never named, or holds keys.
    """
    check_keyless(uri)
    if "://" in uri and not _is_free(uri) and _store(uri) not in _noted():
        raise ValueError(
            f"{folder}: names {uri}, a store that you have not named yet: if you trust it with your keys, name it "
            f"with {option} '{uri}'"
        )
    return uri


def _is_free(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme in CLOUDS and not parts.query


def _store(uri: str) -> str:
    """Return what identifies the server of a URI: its scheme and options, and its host unless that is a bucket."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{'' if parts.scheme in CLOUDS else parts.netloc}?{parts.query}"


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mars-search" / "named"


_named_here: list[str] = []
"""Places that this process's command line names: they count even if the file cannot be written."""


def _noted() -> list[str]:
    with suppress(OSError, ValueError):
        return [*_file().read_text(encoding="utf-8").splitlines(), *_named_here]
    return _named_here


def _note(place: str) -> None:
    """Add a line to a file that only this user can read."""
    if place in _noted() or "\n" in place:
        return
    _named_here.append(place)
    with suppress(OSError):
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(f"{place}\n")
