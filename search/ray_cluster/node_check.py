"""What a node must have for the trials of a run. Its trial processes load this: it imports no more than they need."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from search import ROOT
from trainables.data import DataSource
from trainables.data.source import SAMPLE, find
from trainables.errors import NodeMismatchError
from trainables.messages import EpochReport, Loop, TrialRequest
from trainables.training.checkpoints import CheckpointStore

CODE = "the project's code"


@dataclass(frozen=True)
class NodeCheck:
    """What a node must have for the trials of one run of a study. Nodes may come at any time of it."""

    versions: tuple[tuple[str, str], ...]
    """The driver's, by name."""
    data: DataSource | None = None
    """Of the study, where the node may be another machine than the driver's."""
    folder: str | None = None
    """Below the study's checkpoints: the driver has written there. None on the driver's own machine."""

    def lacking(self) -> list[str]:
        """What the node that this runs on has not, or not as the driver has it: data and versions."""
        theirs = dict(versions())
        problems = [
            f"has {name} {theirs[name]}{f' in {ROOT}' if name == CODE else ''}, the driver has {version}: "
            "set both up alike"
            for name, version in self.versions
            if theirs[name] != version
        ]
        try:
            if self.data is not None and self.data.uri != SAMPLE:
                find(self.data.uri)
        except ValueError as error:
            problems.append(f"--data: {error}")
        return problems

    def unshared(self, store: CheckpointStore) -> list[str]:
        """Whether the folder, here opened as `store`, is another one on this node than on the driver's.

        Raises:
            StorageError: if the storage does not answer.
        """
        if store.load("driver") is not None:
            return []
        return [f"{self.folder} is not the driver's: --storage must be a folder that all nodes share, or a URI"]

    def guard(self, loop: Loop) -> Loop:
        """The loop for a trial's process, which looks at its node before its first trial.

        Else a node that joins without the data would break one trial after the other, one with other versions or
        another checkout of the project would train them in its own way, and what one without the shared folder saves
        would be gone with it.
        """
        return functools.partial(_guarded, self, loop)


def _guarded(check: NodeCheck, loop: Loop, request: TrialRequest) -> Iterator[EpochReport]:
    if problems := _problems_here(check):
        where = f"{platform.node()} ({ray.util.get_node_ip_address()})"
        raise NodeMismatchError("; ".join(f"{where}: {problem}" for problem in problems))
    yield from loop(request)


@functools.lru_cache(maxsize=1)
def _problems_here(check: NodeCheck) -> list[str]:
    problems = check.lacking()
    return problems if check.folder is None else problems + check.unshared(CheckpointStore(check.folder))


def versions() -> tuple[tuple[str, str], ...]:
    """What the driver and its trials must have alike, as this process has it, by name."""
    return (
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("Ray", ray.__version__),
        # As 2.13.0+cpu on a head without a GPU and 2.13.0+cu130 on its workers.
        ("torch", importlib.metadata.version("torch").partition("+")[0]),
        (CODE, _code()),
    )


def _code() -> str:
    """A short hash of the packages that a trial runs."""
    digest = hashlib.sha256()
    for package in ("search", "trainables"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:8]
