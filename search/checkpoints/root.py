"""Which study the checkpoints at a location are part of: the study's identity decides, not a study or folder name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from search.folders.places import study_not_written
from search.foreign_files import parse_json
from search.ledger.ledger import Ledger
from search.locking.folder_lock import this_driver
from search.locking.small_files import SmallFiles
from trainables.training.checkpoint_store import stored_trials

FILE = "study.json"


@dataclass(frozen=True, kw_only=True)
class Marker:
    """The content of a file beside the checkpoints that identifies their study."""

    identity: str
    """The study's identity, which is also in its ledger."""
    run: str
    """ID of the last run, which is also in the ledger. The ledger of a copy lacks later runs of the other copy."""
    user: str
    host: str
    folder: str
    """The study's folder during that run."""

    @classmethod
    def read(cls, root: str) -> Marker | None:
        """Read the marker beside the checkpoints; None if there is none.

        Raises:
            ValueError: if the marker is damaged.
            OSError: if the location cannot be read.
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
            f"{root}: the file {FILE}, which names the study of these checkpoints, is damaged: delete it if they are "
            "this study's"
        )

    def write(self, root: str) -> None:
        """Write the marker beside the checkpoints.

        Raises:
            OSError: if the location cannot be written.
        """
        files = SmallFiles(root)
        files.make_place()
        files.write(FILE, json.dumps(asdict(self), indent=2) + "\n")


def check_root(root: str, ledger: Ledger | None) -> bool:
    """Check that the checkpoints at a location are the study's.

    Args:
        root: a path in the study's folder, or a URI.
        ledger: the study's ledger; None if there is none yet.

    Returns:
        Whether the folder of a study without trials holds other checkpoints, which `set_aside` moves away.

    Raises:
        ValueError: if they are another study's, which the message names, or if the location cannot be read.
    """
    try:
        others = _others(root, ledger)
    except OSError as error:
        raise ValueError(f"{root}: cannot be read ({error})") from error
    if others is not None and ("://" in root or _has_trials(ledger)):
        raise _refusal(root, others)
    return others is not None


def set_aside(root: str, ledger: Ledger | None, tell: Callable[[str], None]) -> None:
    """Move the checkpoints that `check_root` found in a new study's folder; their own study's ledger may be lost.

    Args:
        root: path of the checkpoints.
        ledger: the study's ledger, opened while this driver holds the study.
        tell: called with a message that names the new location.

    Raises:
        ValueError: if they are now in use, or cannot be moved.
    """
    if not check_root(root, ledger):
        return
    aside = f"{root}.before-{secrets.token_hex(4)}"
    try:
        Path(root).rename(aside)
    except OSError as error:
        raise ValueError(
            f"{root}: holds checkpoints that are not this study's and cannot be moved ({error.strerror or error}): "
            "move them away, or give another --name"
        ) from error
    tell(f"{root} held checkpoints that are not this study's: they are now in {aside}")


def claim(root: str, ledger: Ledger, folder: Path) -> Marker:
    """Record at the start of a run, in the ledger and beside the checkpoints, that these are the study's checkpoints.

    Args:
        root: path or URI of the checkpoints.
        ledger: the study's ledger, writable; this driver must hold the study.
        folder: the study's folder.

    Returns:
        The marker of this run.

    Raises:
        ValueError: if the checkpoints are another study's, or the location cannot be written.
    """
    driver, run = this_driver(), secrets.token_hex(8)
    try:
        if (others := _others(root, ledger)) is not None:
            raise _refusal(root, others)
        # The ledger comes first: if the run is killed in between, the ledger must contain the run of the marker.
        ledger.add_run(run)
        assert ledger.identity is not None
        marker = Marker(
            identity=ledger.identity, run=run, user=driver["user"], host=driver["host"], folder=str(folder.resolve())
        )
        marker.write(root)
    except OSError as error:
        raise study_not_written(root, error) from error
    return marker


def _refusal(root: str, others: str) -> ValueError:
    return ValueError(
        f"{root}: holds checkpoints {others}: give another --name or --storage, or move them away; if they are "
        f"nevertheless this study's, delete {FILE} there"
    )


def _others(root: str, ledger: Ledger | None) -> str | None:
    """Describe the owner of the checkpoints if they are not this study's; None if they are."""
    marker = Marker.read(root)
    if marker is None:  # studies that were started before markers existed have none
        return "of another study" if stored_trials(root) and not _has_trials(ledger) else None
    if ledger is None or marker.identity != ledger.identity:
        return f"of another study, run by {marker.user} in {marker.folder} on {marker.host}"
    if "://" in root and marker.run not in ledger.runs:
        return f"that a copy of this study has continued, run by {marker.user} in {marker.folder} on {marker.host}"
    return None


def _has_trials(ledger: Ledger | None) -> bool:
    return ledger is not None and bool(ledger.frozen_trials())
