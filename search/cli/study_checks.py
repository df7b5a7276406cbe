"""Checks of a study's options against its storage, the data and the systems, before anything starts."""

from __future__ import annotations

import fcntl
import tempfile
import uuid
from pathlib import Path

from search.cli.options.option_types import Workers
from search.folders.path_text import check_text
from search.folders.places import check_writable, existing
from search.ledger.ledger import Ledger
from search.study.settings import StudySettings
from search.study.space import Space
from search.study.space_record import check_same_space
from search.study.systems import SYSTEMS
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.errors import listed
from trainables.training.checkpoint_store import CheckpointStore, join_uri


def check_storage(folder: Path, uri: str | None) -> None:
    """Raises ValueError if the study cannot be written; leaves no files behind."""
    check_text(str(folder.resolve()))
    ancestor = existing(folder)
    try:
        check_writable(ancestor)
        with tempfile.TemporaryFile(dir=ancestor) as file:
            _check_locks(file.fileno(), ancestor)
    except OSError as error:
        raise ValueError(f"--storage: cannot write to {ancestor} ({error.strerror or error})") from error
    if uri is not None:
        try:
            # A unique folder, because the files beside it may be another study's and must not be touched.
            store = CheckpointStore(join_uri(uri, f"probe-{uuid.uuid4().hex[:8]}"), pauses=())
            store.save("probe", {})
            store.delete()
        except Exception as error:
            raise ValueError(f"--storage: cannot write to {uri} ({error})") from error


def _check_locks(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(
            f"--storage: the file system of {folder} does not support locks ({error.strerror or error}), which prevent "
            "two drivers from writing to one study: give a folder on another file system, such as a local disk "
            "(Lustre: mount it with -o flock)"
        ) from error


def check_same_study(ledger: Ledger, settings: StudySettings, space: Space, name: str) -> None:
    """Check that the settings and the space are those of an existing study. A new study has no settings to compare.

    Raises:
        ValueError: if any differ; the message names each setting and parameter that differs.
    """
    if ledger.settings:
        settings.check_same(ledger.settings, name)
        check_same_space(space, ledger.space, name)


def check_workers(workers: Workers, settings: StudySettings, data: PreparedData) -> None:
    """Raises ValueError if a batch may have fewer images than a trial has workers."""
    if settings.systems:
        batches = [{**SYSTEMS[name].config, **settings.overrides}["training.batch_size"] for name in settings.systems]
    else:
        batches = list(settings.sizes.batch_sizes)
    smallest = min(*batches, int(data.crops(data.train_part(settings.train_fraction)).sum()))
    if smallest < workers.most:
        raise ValueError(
            f"--workers-per-trial: the smallest batch has {smallest} images, too few for {workers.most} workers: give "
            f"at most {smallest}"
        )


def check_systems(settings: StudySettings, data: PreparedData) -> None:
    """Raises ValueError if an override makes a system invalid, or a system needs an ignored label that is missing."""
    for key in settings.overrides.keys() & settings.fixed_config().keys():
        raise ValueError(f"--set {key}: use its own option instead, --{key.partition('.')[2].replace('_', '-')}")
    for name in settings.systems:
        try:
            config = TrialConfig.from_flat({**SYSTEMS[name].config, **settings.fixed_config(), **settings.overrides})
        except (TypeError, ValueError) as error:
            given = listed([f"{key}={value}" for key, value in settings.overrides.items()])
            raise ValueError(f"--set {given}: not valid for system {name} ({error})") from error
        if config.model.background != "none" and data.description.ignored_label is None:
            raise ValueError(
                f"--systems {name}: has a network for the ignored label, but {data.name} has no ignored label: leave "
                "this system out"
            )
