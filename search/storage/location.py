"""Where a study's ledger is: in a journal in the study's folder, or in a PostgreSQL database that a file there names.

Other databases are refused: one driver a study is held up by PostgreSQL's advisory locks, and for one machine there is
the journal.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from search.foreign_files import parse_json, read_text

FILE = "ledger.journal"
POINTER = "ledger.json"
FORM = "postgresql://HOST/DATABASE or postgresql://USER@HOST:PORT/DATABASE"


@dataclass(frozen=True)
class LedgerPlace:
    """Of the study in a folder."""

    folder: Path
    url: str | None
    """Of the database; None for a journal in the folder."""
    study: str
    """The study's name in the database, which stays if the folder is renamed."""

    @classmethod
    def of(cls, folder: Path, url: str | None = None) -> LedgerPlace:
        """Where the ledger of the study in that folder is; of a new study, where it is to be.

        Args:
            folder: the study's.
            url: of the database that was asked for, if any.

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
                f"or give another --name; if that database has moved, write where it is now into {folder / POINTER}"
            )
        return cls(folder, url or recorded["url"], recorded["study"])

    @property
    def known(self) -> bool:
        """Whether the folder says where the ledger is: it has a study."""
        return (self.folder / (FILE if self.url is None else POINTER)).is_file()

    def record(self) -> None:
        """Let the folder of a study in a database say where it is."""
        if not self.known:
            new = self.folder / f"{POINTER}.new"
            new.write_text(json.dumps({"url": self.url, "study": self.study}, indent=2) + "\n")
            new.replace(self.folder / POINTER)


def refuse_links(folder: Path) -> None:
    """Raises ValueError if what is written in or below that folder could land elsewhere, by a symbolic link."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(place, name)).is_symlink():
                raise ValueError(f"{path}: is a symbolic link, which could lead to what is not the study's: remove it")


def has_study(folder: Path) -> bool:
    """Whether a study was begun in that folder."""
    try:
        return any((folder / name).is_file() for name in (FILE, POINTER))
    except OSError:  # a name that is too long
        return False


def study_folders(root: Path) -> list[Path]:
    """Of the studies in that folder."""
    return sorted(path.parent for name in (FILE, POINTER) for path in root.glob(f"*/{name}"))


def database_url(text: str) -> str:
    """The URL of a PostgreSQL database.

    Raises:
        ValueError: if it is none, or holds a password. The message does not.
    """
    # Looked for before anything else: with a "/" or "#" in the password, what stands behind is read as something else.
    if re.match(r"[^/]*//[^@]*:[^@]*@", text) or re.search(r"[?&]\w*password=", text, re.IGNORECASE):
        raise ValueError(
            "leave the password out, every user of the machine sees a command line: it is taken from the environment "
            "(PGPASSWORD) or from ~/.pgpass"
        )
    wrong = f"{text!r} is not {FORM}; without --ledger the ledger is a file in the study's folder"
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("postgresql", "postgres") or parts.port == 0 or not re.match(r"\w+://[^\s{}]+$", text):
            raise ValueError(wrong)
    except ValueError:  # also one of the port
        raise ValueError(wrong) from None
    if len(unquote(parts.path)) < 2:
        raise ValueError(f"{text!r} names no database: give {FORM}")
    return f"postgresql://{text.partition('://')[2]}"


def same_database(one: str, other: str) -> bool:
    """Whether both URLs name it, maybe for other users and with other options."""
    return _database(one) == _database(other)


def _database(url: str) -> tuple[str, str, str]:
    """What tells databases apart: host, port and name. Users and options may differ."""
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
