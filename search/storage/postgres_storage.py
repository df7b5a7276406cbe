"""A study in a PostgreSQL database, in the tables of Optuna's `RDBStorage`: whatever opens those reads it.

One driver writes. What it reads comes from its own copy, so that a study of thousands of trials is read once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, func, inspect, select, update
from sqlalchemy.orm import Session

from search.locking.lock import is_run_by, this_driver
from search.storage.location import LedgerPlace
from search.storage.postgres_connection import (
    DRIVER,
    ENGINE,
    LOCKS,
    DriverConnection,
    LockHeld,
    engine,
    refused,
    upsert,
    with_driver,
)

OWN = 0
"""Key of the only study of a copy."""
Change = tuple[Any, Callable[[], object]]
"""A statement, and what it means for the copy."""


def read_study(place: LedgerPlace) -> InMemoryStorage | None:
    """A copy of the study there; None if the database has none of that name, and the folder knows of none.

    Raises:
        ValueError: if the database cannot be read, has lost the study, or has another folder's of that name.
    """
    assert place.url is not None
    with refused(place.url):
        with engine(place.url).connect() as connection:
            empty = not inspect(connection).has_table(models.StudyModel.__tablename__)
        if empty:
            _check_new(place)
            return None
        tables = _tables(place.url, skip_table_creation=True)
        if (study_id := _key(tables, place)) is None:
            return None
        copy = InMemoryStorage()
        _fill(copy, tables, study_id, place.study)
        if not place.known:
            _check_free(copy, place)
        return copy


def _check_free(study: InMemoryStorage, place: LedgerPlace) -> None:
    """Only a study that needs no files of another folder may continue in this one. Raises ValueError otherwise."""
    attributes = study.get_study_user_attrs(OWN)
    if study.get_all_trials(OWN, deepcopy=False) and "://" not in attributes.get("settings", {}).get("checkpoints", ""):
        last = attributes[DRIVER]
        raise ValueError(
            f"{place.url}: holds another study {place.study!r}, that of {last['user']} in {last['folder']} on "
            f"{last['host']}, whose checkpoints are there: give another --name"
        )


class DatabaseStorage(InMemoryStorage):
    """The study for its driver; made in the database if there is none.

    Each change is written so that writing it once more does no harm: see `DriverConnection.retry`.

    Args:
        place: the study's, in a database.
        tell: is told when the database is waited for, and when it is back.

    Raises:
        ValueError: if another driver holds the study, or the database cannot be reached or written.
    """

    def __init__(self, place: LedgerPlace, tell: Callable[[str], None]):
        super().__init__()
        assert place.url is not None
        self._place = place
        self._batch: list[Change] | None = None
        driver = this_driver() | {"folder": str(place.folder.resolve())}
        with refused(place.url):
            with engine(place.url).begin() as connection:
                # Two first drivers would make the tables at the same time.
                connection.execute(select(func.pg_advisory_xact_lock(LOCKS, 0)))
                tables = _tables(place.url)
                study_id = _key(tables, place)
                if study_id is None:
                    study_id = tables.create_new_study([StudyDirection.MAXIMIZE], place.study)
            self._study_id: int = study_id
            try:
                self._connection = DriverConnection(place.url, place.study, study_id, driver, tell)
            except LockHeld as error:
                raise ValueError(is_run_by(place.study, error.driver)) from None
            self._ids = _fill(self, tables, study_id, place.study)
            """Keys of the trials in the database, by number."""

    def close(self) -> None:
        """Let another driver have the study."""
        self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is set inside is one transaction, written at its end."""
        if self._batch is not None:
            yield
            return
        batch = self._batch = []
        try:
            yield
        finally:
            self._batch = None
        self._write(batch)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        row = {"study_id": self._study_id, "key": key}
        self._change(
            upsert(models.StudyUserAttributeModel, row, {"value_json": json.dumps(value)}),
            lambda: InMemoryStorage.set_study_user_attr(self, study_id, key, value),
        )

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        model = models.TrialIntermediateValueModel
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        row = {"trial_id": self._ids[trial_id], "step": step}
        self._change(
            upsert(model, row, {"intermediate_value": value, "intermediate_value_type": kind}),
            lambda: InMemoryStorage.set_trial_intermediate_value(self, trial_id, step, intermediate_value),
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        row = {"trial_id": self._ids[trial_id], "key": key}
        self._change(
            upsert(models.TrialUserAttributeModel, row, {"value_json": json.dumps(value)}),
            lambda: InMemoryStorage.set_trial_user_attr(self, trial_id, key, value),
        )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: list[float] | None = None) -> bool:
        trial = models.TrialModel
        ended = datetime.now(UTC).replace(tzinfo=None)
        with self.together():
            for objective, value in enumerate(values or []):
                stored, kind = models.TrialValueModel.value_to_stored_repr(value)
                row = {"trial_id": self._ids[trial_id], "objective": objective}
                self._change(upsert(models.TrialValueModel, row, {"value": stored, "value_type": kind}), lambda: None)
            self._change(
                update(trial)
                .where(trial.trial_id == self._ids[trial_id])
                .values({trial.state: state, trial._datetime_complete_utc: ended}),
                lambda: InMemoryStorage.set_trial_state_values(self, trial_id, state, values),
            )
        return True

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        assert template_trial is not None
        number = len(self._ids)
        self._ids.append(self._connection.retry(lambda connection: self._born(connection, number, template_trial)))
        return int(super().create_new_trial(study_id, template_trial))

    def _born(self, connection: Connection, number: int, template: FrozenTrial) -> int:
        """The key of a new trial, or of the one that an earlier attempt wrote without hearing of it."""
        trial, attribute = models.TrialModel, models.TrialUserAttributeModel
        attributes = {key: json.dumps(value) for key, value in template.user_attrs.items()}
        later = select(trial).where(trial.study_id == self._study_id, trial.number >= number)
        with Session(connection) as session:
            for found in session.scalars(later):
                if found.number > number or {row.key: row.value_json for row in found.user_attributes} != attributes:
                    raise OSError(f"{self._place.url}: something else adds trials to study {self._place.study!r}")
                return int(found.trial_id)
            new = trial(
                study_id=self._study_id,
                number=number,
                state=template.state,
                datetime_start=template.datetime_start,
                params=[
                    models.TrialParamModel(
                        param_name=name,
                        param_value=distribution.to_internal_repr(template.params[name]),
                        distribution_json=distribution_to_json(distribution),
                    )
                    for name, distribution in template.distributions.items()
                ],
                user_attributes=[attribute(key=key, value_json=value) for key, value in attributes.items()],
            )
            session.add(new)
            session.flush()
            return int(new.trial_id)

    def _change(self, statement: Any, apply: Callable[[], object]) -> None:
        if self._batch is None:
            self._write([(statement, apply)])
        else:
            self._batch.append((statement, apply))

    def _write(self, changes: list[Change]) -> None:
        """To the database, and then to the copy."""

        def write(connection: Connection) -> None:
            for statement, _ in changes:
                connection.execute(statement)

        self._connection.retry(write)
        for _, apply in changes:
            apply()


def _tables(url: str, *, skip_table_creation: bool = False) -> RDBStorage:
    try:
        return RDBStorage(with_driver(url), dict(ENGINE), skip_table_creation=skip_table_creation)
    except RuntimeError as error:  # they are of another version of Optuna
        raise ValueError(f"{url}: {error}") from error


def _key(tables: RDBStorage, place: LedgerPlace) -> int | None:
    """Of the study in the database, if it is there."""
    try:
        return int(tables.get_study_id_from_name(place.study))
    except KeyError:
        _check_new(place)
        return None


def _check_new(place: LedgerPlace) -> None:
    """A study that the database does not have must be one that begins. Raises ValueError otherwise."""
    if place.known:
        raise ValueError(f"{place.url}: the study {place.study!r} of {place.folder} is there no more")


def _fill(copy: InMemoryStorage, tables: RDBStorage, study_id: int, study: str) -> list[int]:
    """Copies a study into an empty storage; returns the keys of its trials in the database, by number."""
    copy.create_new_study([StudyDirection.MAXIMIZE], study)
    for key, value in tables.get_study_user_attrs(study_id).items():
        InMemoryStorage.set_study_user_attr(copy, OWN, key, value)
    trials = tables.get_all_trials(study_id, deepcopy=False)
    for number, trial in enumerate(trials):
        if trial.number != number or "config" not in trial.user_attrs:
            raise ValueError(f"study {study!r} in the database has a trial {trial.number} that no search made")
        InMemoryStorage.create_new_trial(copy, OWN, trial)
    return [trial._trial_id for trial in trials]
