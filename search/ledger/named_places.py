"""Databases and object stores that the user has named: credentials go to no other.

A study's folder says where its ledger, its data and its checkpoints are. The folder may be somebody else's, and
following it would show the user's password (PGPASSWORD, ~/.pgpass) or keys (AWS_ACCESS_KEY_ID, ...) to whatever host it
names. So what the user names on a command line is noted in a file of that user, and only what stands there is followed.
Stores without options (`s3://bucket/key`, `gs://bucket/key`) need no note: these are the clouds' own hosts.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from search.storage.location import LedgerPlace, same_database
from trainables.uris import check_keyless

CLOUDS = ("s3", "gs", "gcs", "file")
"""Schemes whose host is the cloud's own, or this machine, unless an option says otherwise."""


def reachable_place(folder: Path, url: str | None = None) -> LedgerPlace:
    """Where the ledger of the study in that folder is, or is to be, by a URL that the user named.

    Args:
        folder: the study's.
        url: of the database that the command line names, if any; it is noted.

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
                f"{folder}: its ledger is in a database, {place.url}, that you have not named yet: if it may have your "
                f"password, name it once: python search/run.py --storage {folder.parent} --status {folder.name} "
                f"--ledger {place.url}"
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
    """A path or URI from the ledger of the study in that folder, if it may be followed.

    Args:
        uri: the recorded one.
        folder: the study's.
        option: of the command line, which names another or the same.

    Raises:
        ValueError: if it leads to a store that the user has never named, or holds keys.
    """
    check_keyless(uri)
    if "://" in uri and not _is_free(uri) and _store(uri) not in _noted():
        raise ValueError(
            f"{folder}: names {uri}, a store that you have not named yet: if it may have your keys, name it with "
            f"{option} '{uri}'"
        )
    return uri


def _is_free(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme in CLOUDS and not parts.query


def _store(uri: str) -> str:
    """Whom a URI asks: its scheme and options, and its host where that is no bucket."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{'' if parts.scheme in CLOUDS else parts.netloc}?{parts.query}"


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mars-search" / "named"


_named_here: list[str] = []
"""What this process's command line names: it counts also where the file cannot be written."""


def _noted() -> list[str]:
    with suppress(OSError, ValueError):
        return [*_file().read_text().splitlines(), *_named_here]
    return _named_here


def _note(place: str) -> None:
    """Add a line to a file that this user alone can read."""
    if place in _noted() or "\n" in place:
        return
    _named_here.append(place)
    with suppress(OSError):
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as stream:  # noqa: PTH123
            stream.write(f"{place}\n")
