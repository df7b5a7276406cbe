"""Whose checkpoints a place holds. A study's identity says it, never the name of the study or of a folder."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from search.foreign_files import parse_json
from search.ledger.ledger import Ledger
from search.locking.lock import this_driver
from search.locking.small_files import SmallFiles
from trainables.training.checkpoints import stored_trials

FILE = "study.json"


@dataclass(frozen=True, kw_only=True)
class Marker:
    """Beside a study's checkpoints: which study they are of."""

    identity: str
    """The study's, which its ledger holds."""
    run: str
    """Of the last run; the ledger holds it too. A copy of the study does not know of later runs of the other copy."""
    user: str
    host: str
    folder: str
    """The study's folder at that run."""

    @classmethod
    def read(cls, root: str) -> Marker | None:
        """None where there is none.

        Raises:
            ValueError: if it is damaged.
            OSError: if the place does not answer.
        """
        if (text := SmallFiles(root).read(FILE)) is None:
            return None
        try:
            values = parse_json(text)
            found = cls(**{field.name: values[field.name] for field in fields(cls)})
            if all(isinstance(value, str) for value in asdict(found).values()):
                return found
        except (ValueError, KeyError, TypeError):
            pass
        raise ValueError(
            f"{root}: its {FILE}, which says whose checkpoints these are, is damaged: delete it if they are this "
            "study's"
        )

    def write(self, root: str) -> None:
        """Raises OSError if the place takes nothing."""
        files = SmallFiles(root)
        files.make_place()
        files.write(FILE, json.dumps(asdict(self), indent=2) + "\n")


def check_root(root: str, ledger: Ledger | None) -> bool:
    """Refuse a place whose checkpoints are not the study's.

    Args:
        root: a path in the study's folder, or a URI.
        ledger: the study's; None if it has none yet.

    Returns:
        Whether there are some that `set_aside` takes out of the way: what the folder of a study without trials holds.

    Raises:
        ValueError: saying whose they are, or that the place does not answer.
    """
    try:
        others = _others(root, ledger)
    except OSError as error:
        raise ValueError(f"{root}: cannot be read ({error})") from error
    if others is not None and ("://" in root or _has_trials(ledger)):
        raise _refusal(root, others)
    return others is not None


def set_aside(root: str, ledger: Ledger | None, tell: Callable[[str], None]) -> None:
    """Keep what `check_root` found in the folder of a study that begins: it may be of one whose ledger was lost.

    Args:
        root: a path.
        ledger: the study's, as it is now that its driver holds it.
        tell: is told where the checkpoints are.

    Raises:
        ValueError: if they are in use by now, or cannot be moved.
    """
    if not check_root(root, ledger):
        return
    aside = f"{root}.before-{secrets.token_hex(4)}"
    try:
        Path(root).rename(aside)
    except OSError as error:
        raise ValueError(f"{root}: cannot be moved out of the way ({error.strerror or error})") from error
    tell(f"{root} held checkpoints that are not this study's: they are in {aside} now")


def claim(root: str, ledger: Ledger, folder: Path) -> Marker:
    """Note in a study's ledger and beside its checkpoints that they belong together, at the begin of a run.

    Args:
        root: of the checkpoints.
        ledger: the study's, to write to; its driver holds the study.
        folder: the study's.

    Raises:
        ValueError: if the place is another study's, or cannot be written.
    """
    driver, run = this_driver(), secrets.token_hex(8)
    try:
        if (others := _others(root, ledger)) is not None:
            raise _refusal(root, others)
        # The ledger first: a run that is killed in between is one that the ledger knows of.
        ledger.add_run(run)
        assert ledger.identity is not None
        marker = Marker(
            identity=ledger.identity, run=run, user=driver["user"], host=driver["host"], folder=str(folder.resolve())
        )
        marker.write(root)
    except OSError as error:
        raise ValueError(f"{root}: cannot write the study there ({error.strerror or error})") from error
    return marker


def _refusal(root: str, others: str) -> ValueError:
    return ValueError(
        f"{root}: holds checkpoints {others}: give another --name or --storage, or move them away; if they are this "
        f"study's all the same, delete {FILE} there"
    )


def _others(root: str, ledger: Ledger | None) -> str | None:
    """Whose checkpoints lie there, if not the study's."""
    marker = Marker.read(root)
    if marker is None:  # as in studies that were begun before there were markers
        return "of another study" if stored_trials(root) and not _has_trials(ledger) else None
    if ledger is None or marker.identity != ledger.identity:
        return f"of another study, that of {marker.user} in {marker.folder} on {marker.host}"
    if "://" in root and marker.run not in ledger.runs:
        return f"with which a copy of this study went on, that of {marker.user} in {marker.folder} on {marker.host}"
    return None


def _has_trials(ledger: Ledger | None) -> bool:
    return ledger is not None and bool(ledger.frozen_trials())
