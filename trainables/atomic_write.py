"""Writes local files and folders atomically: a path shows its former content, or all of the new one.

What a killed process leaves behind, the next writer of the same target deletes (`clear_leftovers`). The name of a
temporary file therefore tells which process writes it: `NAME.` and 32 hex digits, of which 16 are its place (machine,
start of the machine, and process namespace), 8 its process id, and 8 random.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

OLD = 24 * 3600.0
"""Seconds after which a temporary file is considered left behind, whichever process wrote it. Process ids on other
machines cannot be checked, and are used again."""
_TEMPORARY = re.compile(r".+\.([0-9a-f]{16})([0-9a-f]{8})[0-9a-f]{8}")


@contextmanager
def atomic_write(target: Path, *, clears: bool = True) -> Iterator[Path]:
    """Context that yields a path beside the target. What is written there replaces the target when the context ends.

    If the context ends with an exception, what was written is deleted and the target stays as it was. What an earlier
    process left behind when it was killed is deleted first. A folder can only be replaced if it is empty.

    Args:
        target: the path.
        clears: whether to look for what was left behind, which lists the folder of the target: whoever writes thousands
            of files calls `clear_leftovers` once instead.

    Raises:
        OSError: if the target cannot be written or replaced; it names the target.
    """
    if clears:
        clear_leftovers(target.parent, target.name)
    new = temporary(target)
    try:
        yield new
        new.replace(target)
    except BaseException as error:
        _delete(new)
        if isinstance(error, OSError) and error.filename == str(new):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Context that yields a new folder beside the target, and replaces the target and all it holds when it ends.

    If the context ends with an exception, the new folder is deleted and the target stays as it was. A process that is
    killed between the two renames leaves no folder under the name, never a mixture.

    Raises:
        OSError: if the target cannot be written or replaced.
    """
    clear_leftovers(target.parent, target.name)
    new, old = temporary(target), temporary(target)
    new.mkdir()
    try:
        yield new
        with suppress(FileNotFoundError):
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            with suppress(OSError):  # another process has written the target meanwhile, or there was none before
                old.rename(target)
            raise
    finally:
        _delete(new)
        _delete(old)


def temporary(target: Path) -> Path:
    """Return a new path beside the target, for what will replace it."""
    return target.with_name(f"{target.name}.{_place()}{os.getpid():08x}{secrets.token_hex(4)}")


def clear_leftovers(folder: Path, target: str | None = None) -> None:
    """Delete the temporary files and folders of processes that have ended.

    Args:
        folder: the folder of the targets; it may be missing.
        target: name of the target whose temporary files are deleted; None: those of every target in the folder.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            named = _TEMPORARY.fullmatch(entry.name)
            if (
                named
                and (target is None or entry.name[:-33] == target)
                and _is_left(entry, named[1], int(named[2], 16))
            ):
                _delete(Path(entry.path))


def is_temporary(name: str) -> bool:
    """Return whether a file of this name is not complete yet."""
    return _TEMPORARY.fullmatch(name) is not None


def _is_left(entry: os.DirEntry[str], place: str, process: int) -> bool:
    if place == _place() and not _runs(process):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > OLD


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@cache
def _place() -> str:
    """Return 16 hex digits that differ between machines, their starts, and their process namespaces."""
    parts = [platform.node()]
    with suppress(OSError):  # Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]
