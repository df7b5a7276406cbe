"""Where a study's ledger is: in a journal in the study's folder, or in a PostgreSQL database that a file there names.

Other databases are not supported: PostgreSQL's advisory locks ensure that a study has one driver at a time, and on one
machine the journal is enough.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from search.foreign_files import parse_json, read_text
from trainables.atomic_write import atomic_write

FILE = "ledger.journal"
POINTER = "ledger.json"
FORM = "postgresql://HOST/DATABASE or postgresql://USER@HOST:PORT/DATABASE"


@dataclass(frozen=True)
class LedgerPlace:
    """Where the ledger of the study in a folder is."""

    folder: Path
    url: str | None
    """URL of the database; None for a journal in the folder."""
    study: str
    """Name of the study in the database; it does not change if the folder is renamed."""

    @classmethod
    def of(cls, folder: Path, url: str | None = None) -> LedgerPlace:
        """Return where the ledger of the study in that folder is, or where that of a new study will be.

        Args:
            folder: folder of the study.
            url: URL of the requested database, if any.

        Raises:
            ValueError: if the study has its ledger elsewhere.
        """
        recorded = _read(folder / POINTER)
        if recorded is None:
            if url is not None and (folder / FILE).exists():
                raise ValueError(
                    f"--ledger: the study in {folder} has its ledger in {FILE} there: leave --ledger out, or give "
                    "another --name"
                )
            return cls(folder, url, folder.name)
        if url is not None and not same_database(url, recorded["url"]):
            raise ValueError(
                f"--ledger {url}: the study in {folder} has its ledger in {recorded['url']}: leave --ledger out, "
                f"or give another --name; if that database has moved, write its new URL into {folder / POINTER}"
            )
        return cls(folder, url or recorded["url"], recorded["study"])

    @property
    def known(self) -> bool:
        """Whether the folder has the journal, or the file that names the database: it has a study."""
        return (self.folder / (FILE if self.url is None else POINTER)).is_file()

    def record(self) -> None:
        """Write the database of the study to its folder, unless it is recorded there."""
        if not self.known:
            with atomic_write(self.folder / POINTER) as new:
                new.write_text(json.dumps({"url": self.url, "study": self.study}, indent=2) + "\n", encoding="utf-8")


def refuse_links(folder: Path) -> None:
    """Raise ValueError if a symbolic link in or below that folder could redirect writes to another place."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(place, name)).is_symlink():
                raise ValueError(f"{path}: is a symbolic link, which could lead out of the study's folder: remove it")


def has_study(folder: Path) -> bool:
    """Return whether a study was begun in that folder."""
    try:
        return any((folder / name).is_file() for name in (FILE, POINTER))
    except OSError:  # a name that is too long
        return False


def study_folders(root: Path) -> list[Path]:
    """Return the folders of the studies in that folder, sorted."""
    return sorted(path.parent for name in (FILE, POINTER) for path in root.glob(f"*/{name}"))


def database_url(text: str) -> str:
    """Check the URL of a PostgreSQL database, and return it with the scheme "postgresql".

    Raises:
        ValueError: if it is not such a URL, or holds a password, which the message does not show.
    """
    # Checked before the URL is parsed: a "/" or "#" in the password would end the host part early.
    if re.match(r"[^/]*//[^@]*:[^@]*@", text) or re.search(r"[?&]\w*password=", text, re.IGNORECASE):
        raise ValueError(
            "leave the password out, because every user of the machine can see a command line: it is read from the "
            "environment (PGPASSWORD) or from ~/.pgpass"
        )
    wrong = f"{text!r} is not {FORM}; without --ledger the ledger is a file in the study's folder"
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("postgresql", "postgres") or parts.port == 0 or not re.match(r"\w+://[^\s{}]+$", text):
            raise ValueError(wrong)
    except ValueError:  # also raised for an invalid port
        raise ValueError(wrong) from None
    if len(unquote(parts.path)) < 2:
        raise ValueError(f"{text!r} names no database: give {FORM}")
    return f"postgresql://{text.partition('://')[2]}"


def same_database(one: str, other: str) -> bool:
    """Return whether both URLs name the same database; users and options may differ."""
    return _database(one) == _database(other)


def _database(url: str) -> tuple[str, str, str]:
    """Return what identifies a database: host, port and name."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.hostname or query.get("host", ["localhost"])[0]
    port = parts.port or query.get("port", ["5432"])[0]
    return host, str(port), unquote(parts.path)


def _read(pointer: Path) -> dict[str, str] | None:
    try:
        recorded = parse_json(read_text(pointer))
        return {"url": database_url(recorded["url"]), "study": recorded["study"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{pointer}: is not {{"url": "{FORM}", "study": "NAME"}} ({error})') from error
