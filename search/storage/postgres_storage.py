"""A study in a PostgreSQL database, in the tables of Optuna's `RDBStorage`: any tool that opens those can read it.

Only one driver writes. It reads from its own copy in memory, so that a study of thousands of trials is read only once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, func, inspect, select, update
from sqlalchemy.orm import Session

from search.locking.folder_lock import is_run_by, this_driver
from search.storage.location import LedgerPlace
from search.storage.optuna_tables import (
    ENDED,
    StudyModel,
    StudyUserAttributeModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialUserAttributeModel,
    TrialValueModel,
    key_of,
)
from search.storage.postgres_connection import (
    DRIVER,
    ENGINE,
    LOCKS,
    DriverConnection,
    LockHeld,
    engine,
    has_driver,
    refused,
    upsert,
    with_driver,
)

OWN = 0
"""Key of the only study in a copy."""
Change = tuple[Any, Callable[[], object]]
"""A statement, and a function that makes the same change to the copy."""


class StudyCopy(InMemoryStorage):
    """A copy of a study, to read."""

    driven = False
    """Whether a driver ran the study when it was copied."""


def read_study(place: LedgerPlace) -> StudyCopy | None:
    """Return a copy of the study; None if the database has no study of that name, and the folder names none.

    Raises:
        ValueError: if the database cannot be read or no longer has the study, or the study belongs to another folder.
    """
    assert place.url is not None
    with refused(place.url):
        with engine(place.url).connect() as connection:
            empty = not inspect(connection).has_table(StudyModel.__tablename__)
        if empty:
            _check_new(place)
            return None
        tables = _tables(place.url, skip_table_creation=True)
        if (study_id := _key(tables, place)) is None:
            return None
        copy = StudyCopy()
        _fill(copy, tables, study_id, place.study)
        with engine(place.url).connect() as connection:
            copy.driven = has_driver(connection, study_id)
        if not place.known:
            _check_free(copy, place)
        return copy


def _check_free(study: InMemoryStorage, place: LedgerPlace) -> None:
    """Raise ValueError if the study needs the checkpoints in another folder, and so cannot continue in this one."""
    attributes = study.get_study_user_attrs(OWN)
    if study.get_all_trials(OWN, deepcopy=False) and "://" not in attributes.get("settings", {}).get("checkpoints", ""):
        last = attributes[DRIVER]
        raise ValueError(
            f"{place.url}: has another study {place.study!r}, last run by {last['user']} in {last['folder']} on "
            f"{last['host']}, whose checkpoints are there: give another --name"
        )


class DatabaseStorage(InMemoryStorage):
    """The storage of a study for its driver; the study is created in the database if it does not exist.

    Each change is idempotent: see `DriverConnection.retry`.

    Args:
        place: where the study is, in a database.
        tell: called with a message when the run waits for the database, and when the database is back.

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
                # Without this lock, two first drivers could create the tables at the same time.
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
            """Keys of the trials in the database, by trial number."""

    def close(self) -> None:
        """Release the study for another driver."""
        self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all changes made in this context in one transaction, at its end."""
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
            upsert(StudyUserAttributeModel, row, {"value_json": json.dumps(value)}),
            lambda: InMemoryStorage.set_study_user_attr(self, study_id, key, value),
        )

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        model = TrialIntermediateValueModel
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        row = {"trial_id": self._ids[trial_id], "step": step}
        self._change(
            upsert(model, row, {"intermediate_value": value, "intermediate_value_type": kind}),
            lambda: InMemoryStorage.set_trial_intermediate_value(self, trial_id, step, intermediate_value),
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        row = {"trial_id": self._ids[trial_id], "key": key}
        self._change(
            upsert(TrialUserAttributeModel, row, {"value_json": json.dumps(value)}),
            lambda: InMemoryStorage.set_trial_user_attr(self, trial_id, key, value),
        )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        trial = TrialModel
        ended = datetime.now(UTC).replace(tzinfo=None)
        with self.together():
            for objective, value in enumerate(values or []):
                stored, kind = TrialValueModel.value_to_stored_repr(value)
                row = {"trial_id": self._ids[trial_id], "objective": objective}
                self._change(upsert(TrialValueModel, row, {"value": stored, "value_type": kind}), lambda: None)
            self._change(
                update(trial).where(trial.trial_id == self._ids[trial_id]).values({trial.state: state, ENDED: ended}),
                lambda: InMemoryStorage.set_trial_state_values(self, trial_id, state, values),
            )
        return True

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        assert template_trial is not None
        number = len(self._ids)
        self._ids.append(self._connection.retry(lambda connection: self._born(connection, number, template_trial)))
        return int(super().create_new_trial(study_id, template_trial))

    def _born(self, connection: Connection, number: int, template: FrozenTrial) -> int:
        """Insert a new trial and return its key; an earlier attempt may have inserted it without an answer."""
        trial, attribute = TrialModel, TrialUserAttributeModel
        attributes = {key: json.dumps(value) for key, value in template.user_attrs.items()}
        later = select(trial).where(trial.study_id == self._study_id, trial.number >= number)
        with Session(connection) as session:
            for found in session.scalars(later):
                if found.number > number or {row.key: row.value_json for row in found.user_attributes} != attributes:
                    raise OSError(f"{self._place.url}: another program adds trials to study {self._place.study!r}")
                return int(found.trial_id)
            new = trial(
                study_id=self._study_id,
                number=number,
                state=template.state,
                datetime_start=template.datetime_start,
                params=[
                    TrialParamModel(
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
        """Write changes to the database, and then to the copy."""

        def write(connection: Connection) -> None:
            for statement, _ in changes:
                connection.execute(statement)

        self._connection.retry(write)
        for _, apply in changes:
            apply()


def _tables(url: str, *, skip_table_creation: bool = False) -> RDBStorage:
    try:
        return RDBStorage(with_driver(url), dict(ENGINE), skip_table_creation=skip_table_creation)
    except RuntimeError as error:  # the tables are from another version of Optuna
        raise ValueError(f"{url}: {error}") from error


def _key(tables: RDBStorage, place: LedgerPlace) -> int | None:
    """Return the key of the study in the database, or None if it is not there."""
    try:
        return int(tables.get_study_id_from_name(place.study))
    except KeyError:
        _check_new(place)
        return None


def _check_new(place: LedgerPlace) -> None:
    """Raise ValueError if the folder names a study that the database does not have."""
    if place.known:
        raise ValueError(f"{place.url}: the study {place.study!r} of {place.folder} is no longer there")


def _fill(copy: InMemoryStorage, tables: RDBStorage, study_id: int, study: str) -> list[int]:
    """Copy a study into an empty storage; return the keys of its trials in the database, by trial number."""
    copy.create_new_study([StudyDirection.MAXIMIZE], study)
    for key, value in tables.get_study_user_attrs(study_id).items():
        InMemoryStorage.set_study_user_attr(copy, OWN, key, value)
    trials = tables.get_all_trials(study_id, deepcopy=False)
    for number, trial in enumerate(trials):
        if trial.number != number or "config" not in trial.user_attrs:
            raise ValueError(f"study {study!r} in the database has a trial {trial.number} that no search created")
        InMemoryStorage.create_new_trial(copy, OWN, trial)
    return [key_of(trial) for trial in trials]
