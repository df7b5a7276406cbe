"""Study folders: their disk space, and how studies are renamed and deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from search.checkpoints.root import FILE as MARKER
from search.checkpoints.root import Marker
from search.ledger.ledger import Ledger
from search.ledger.named_places import followed, reachable_place
from search.locking.driver_claim import PREFIX, held
from search.locking.folder_lock import LOCK, OWNER, study_lock
from search.locking.small_files import SmallFiles
from search.storage.location import FILE, POINTER, refuse_links
from search.study.settings import CHECKPOINTS, StudySettings
from trainables.training.checkpoint_store import checkpoint_store, stored_trials

OURS = (
    FILE,
    f"{FILE}.*",
    POINTER,
    f"{POINTER}.*",
    LOCK,
    f"{OWNER}*",
    f"{PREFIX}*.json*",
    CHECKPOINTS,
    f"{CHECKPOINTS}.before-*",
    "trials",
    "replay",
    "report",
    "events.out.tfevents.*",
)
"""Name patterns of the files that searches and reports write into a study's folder."""


def disk_space(folder: Path) -> str:
    """Return the total size of the files in a folder, such as "12.3 MiB"."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(Path(place, name)).st_size
            except FileNotFoundError:  # a running search replaces files
                continue
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def rename_study(folder: Path, new: Path, tell: Callable[[str], None]) -> None:
    """Rename the study in a folder; the same command with the new name continues it.

    Raises:
        ValueError: if there is no study in the folder, a driver is running it, or the new name is taken.
    """
    Ledger.open(folder)
    if new.exists():
        raise ValueError(f"{new}: already exists; give another name")
    _check_idle(folder, tell)
    try:
        folder.rename(new)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be renamed ({error.strerror or error})") from error


def delete_study(folder: Path, tell: Callable[[str], None]) -> list[Path]:
    """Delete a study: its folder, its checkpoints wherever they are, and its part of a database.

    Returns:
        Files in the folder that are not the study's. They are kept, and so is the folder if there are any.

    Raises:
        ValueError: if there is no study, a driver is running it, or a part of it cannot be reached. The same command
            deletes the rest later, because the ledger is deleted last.
    """
    ledger, place = Ledger.open(folder), reachable_place(folder)
    refuse_links(folder)
    _check_idle(folder, tell)
    try:
        if ledger.settings:
            settings = StudySettings.recorded(ledger.settings, folder)
            if "://" in settings.checkpoints:
                _delete_remote(followed(settings.checkpoints, folder, "--storage"), ledger, tell)
        ours = [path for path in folder.iterdir() if any(fnmatch(path.name, pattern) for pattern in OURS)]
        for path in sorted(ours, key=lambda path: path.name in (FILE, POINTER)):
            if path.name == POINTER and place.url is not None:
                _delete_from_database(place.url, place.study)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        left = sorted(folder.iterdir())
        if not left:
            folder.rmdir()
    except OSError as error:
        raise ValueError(f"{folder}: cannot be deleted ({error})") from error
    return left


def _check_idle(folder: Path, tell: Callable[[str], None]) -> None:
    """Raises ValueError if a driver is running the study."""
    with held(str(folder), folder.name, tell), study_lock(folder):
        pass


def _delete_remote(root: str, ledger: Ledger, tell: Callable[[str], None]) -> None:
    """Delete the study's checkpoints at a URI, unless they are now another study's."""
    marker = Marker.read(root)
    if marker is None or marker.identity != ledger.identity:
        tell(f"{root}: is not deleted, because no marker there shows that its checkpoints are this study's")
        return
    for number in stored_trials(root):
        checkpoint_store(root, number).delete()
    SmallFiles(root).delete(MARKER)


def _delete_from_database(url: str, study: str) -> None:
    import optuna
    from optuna.storages import RDBStorage

    from search.storage.postgres_connection import refused, with_driver

    with refused(url):
        optuna.delete_study(study_name=study, storage=RDBStorage(with_driver(url), skip_table_creation=True))
