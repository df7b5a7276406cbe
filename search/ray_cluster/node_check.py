"""Requirements that a node must meet to run trials. Trial processes import this module, so it imports little."""

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
from trainables.training.checkpoint_store import CheckpointStore

CODE = "the project's code"


@dataclass(frozen=True)
class NodeCheck:
    """Requirements that a node must meet for one run of a study. Nodes may join at any time during the run."""

    versions: tuple[tuple[str, str], ...]
    """(name, version) pairs of the driver."""
    data: DataSource | None = None
    """The study's data; None if all trials run on the driver's machine."""
    folder: str | None = None
    """Folder among the study's checkpoints to which the driver has written; None on the driver's own machine."""

    def lacking(self) -> list[str]:
        """Return the problems of the current node: missing data, and versions that differ from the driver's."""
        theirs = dict(versions())
        problems = [
            f"has {name} {theirs[name]}{f' in {ROOT}' if name == CODE else ''}, the driver has {version}: "
            "install the same version on both"
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
        """Return a problem if the folder, opened here as `store`, is not the one that the driver has written to.

        Raises:
            StorageError: if the storage does not respond.
        """
        if store.load("driver") is not None:
            return []
        return [
            f"{self.folder} is not the folder that the driver uses: --storage must be a folder that all nodes share, "
            "or a URI"
        ]

    def guard(self, loop: Loop) -> Loop:
        """Return the loop with a check of the node before the first trial of each process.

        Without the check, a node that joins without the data would fail every trial, a node with other versions or
        another checkout of the project would train differently, and checkpoints that a node saves outside the shared
        folder would be lost with it.
        """
        return _GuardedLoop(check=self, loop=loop)


@dataclass(frozen=True, kw_only=True)
class _GuardedLoop:
    check: NodeCheck
    loop: Loop

    def __call__(self, request: TrialRequest) -> Iterator[EpochReport]:
        if problems := _problems_here(self.check):
            where = f"{platform.node()} ({ray.util.get_node_ip_address()})"
            raise NodeMismatchError("; ".join(f"{where}: {problem}" for problem in problems))
        yield from self.loop(request)


@functools.lru_cache(maxsize=1)
def _problems_here(check: NodeCheck) -> list[str]:
    problems = check.lacking()
    return problems if check.folder is None else problems + check.unshared(CheckpointStore(check.folder))


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions in this process that must be the same in the driver and its trials, by name."""
    return (
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("Ray", ray.__version__),
        # The local part may differ: 2.13.0+cpu on a head without a GPU, 2.13.0+cu130 on its workers.
        ("torch", importlib.metadata.version("torch").partition("+")[0]),
        (CODE, _code()),
    )


def _code() -> str:
    """Return a short hash of the packages that a trial runs."""
    digest = hashlib.sha256()
    for package in ("search", "trainables"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:8]
