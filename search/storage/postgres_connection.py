"""A driver's connection to a PostgreSQL database: it holds the study's lock, and reconnects after an outage."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from search.locking.folder_lock import is_run_by
from search.storage.optuna_tables import StudyUserAttributeModel
from trainables.outage_retries import retry

PATIENCE_SECONDS = 120.0
"""Longest outage of the database that a run waits for; a longer one ends the run."""
PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to reconnect; the last value repeats."""
LOCKS = 0x6D617273
"""First key of this project's advisory locks; the second key is the study's id."""
KEEPALIVE = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
"""Server settings. The lock of a driver whose machine is gone is released after 50 s, within PATIENCE_SECONDS."""
ENGINE = {
    "poolclass": NullPool,
    "connect_args": {
        "application_name": "mars-search",
        "connect_timeout": 10,
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
}
DRIVER = "driver"
"""Name of the study's user attribute that records its last driver."""
REFUSALS = (IntegrityError, ProgrammingError, DataError)
"""Errors that a retry would raise again. All other errors of the database may be transient."""

Done = TypeVar("Done")


class LockHeld(Exception):
    """Another connection holds the study's lock; `driver` is the study's last driver, {} if it is not known."""

    def __init__(self, driver: dict[str, Any]):
        super().__init__("the study's lock is held by another connection")
        self.driver = driver


class DriverConnection:
    """The only connection that writes a study. The study's lock ends with the connection, however that ends.

    Args:
        url: URL of the database.
        study: name of the study.
        study_id: key of the study in the database.
        driver: record of this driver, from `this_driver`.
        tell: called with a message when the run waits for the database, and when the database is back.

    Raises:
        LockHeld: if another driver holds the study.
    """

    def __init__(self, url: str, study: str, study_id: int, driver: dict[str, Any], tell: Callable[[str], None]):
        self._url, self._study, self._study_id, self._driver, self._tell = url, study, study_id, driver, tell
        self._engine = engine(url)
        self._ours = False
        """Whether this driver has held the study's lock before."""
        self._connection: Connection | None = self._locked()
        self._ours = True

    def retry(self, work: Callable[[Connection], Done]) -> Done:
        """Run `work` in one transaction, again after the connection was lost: it must be idempotent.

        Raises:
            OSError: if the database rejects the work or stays unavailable, or another driver has taken over the study.
        """
        since: float | None = None

        def attempt() -> Done:
            self._connection = self._connection or self._locked()
            with self._connection.begin():
                return work(self._connection)

        def passes(error: Exception) -> bool:
            nonlocal since
            if isinstance(error, REFUSALS) or not isinstance(error, (DBAPIError, LockHeld)):
                return False
            self.close()
            since = since or self._waits(error)
            return time.monotonic() - since <= PATIENCE_SECONDS

        try:
            done = retry(attempt, pauses=itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])), passes=passes)
        except REFUSALS as error:
            raise OSError(f"{self._url}: {reason(error)}") from error
        except (DBAPIError, LockHeld) as error:
            raise OSError(f"{self._url}: {reason(error)}, for {PATIENCE_SECONDS:.0f} s") from error
        if since is not None:
            self._tell("the database is back: the search continues, nothing is lost")
        return done

    def close(self) -> None:
        """Release the study for another driver."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _waits(self, error: Exception) -> float:
        self._tell(f"the database is gone ({reason(error)}): the search waits up to {PATIENCE_SECONDS:.0f} s for it")
        return time.monotonic()

    def _locked(self) -> Connection:
        connection = self._engine.connect()
        try:
            with connection.begin():
                for name, value in KEEPALIVE.items():
                    connection.execute(select(func.set_config(name, str(value), False)))
                held = connection.scalar(select(func.pg_try_advisory_lock(LOCKS, self._study_id)))
                last = self._last_driver(connection)
                if self._ours and last != self._driver:
                    raise OSError(is_run_by(self._study, last))
                if not held:
                    raise LockHeld(last)
                if not self._ours:
                    key = {"study_id": self._study_id, "key": DRIVER}
                    connection.execute(upsert(StudyUserAttributeModel, key, {"value_json": json.dumps(self._driver)}))
        except BaseException:
            connection.close()
            raise
        return connection

    def _last_driver(self, connection: Connection) -> dict[str, Any]:
        model = StudyUserAttributeModel
        text = connection.scalar(select(model.value_json).where(model.study_id == self._study_id, model.key == DRIVER))
        return {} if text is None else json.loads(text)


def has_driver(connection: Connection, study_id: int) -> bool:
    """Return whether a driver holds the study's lock; any role may ask."""
    held = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND classid = :locks AND objid = :study"
    )
    return bool(connection.scalar(held, {"locks": LOCKS, "study": study_id}))


def upsert(model: Any, key: dict[str, Any], values: dict[str, Any]) -> Insert:
    """Return a statement that inserts a row into one of Optuna's tables, or updates the row with that key."""
    return insert(model).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values)


def with_driver(url: str) -> str:
    """Return the URL with psycopg as its driver, which is not SQLAlchemy's default."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def engine(url: str) -> Engine:
    return create_engine(with_driver(url), **ENGINE)


@contextmanager
def refused(url: str) -> Iterator[None]:
    """Convert errors of a database to ValueError."""
    try:
        yield
    except ImportError as error:
        raise ValueError(
            f"{url}: a study in PostgreSQL needs psycopg: pip install 'mars-search[postgres]' ({error})"
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise ValueError(f"{url}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return the error in one line, without the SQL statement."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return f"{text}; the password comes from PGPASSWORD or ~/.pgpass" if "password" in text else text
