"""A driver's connection to a PostgreSQL database: it holds the study's lock, and waits for one that goes away."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb import models
from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from search.locking.lock import is_run_by

PATIENCE_SECONDS = 120.0
"""A database that is gone for longer ends the run."""
PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to reach it; the last one stays."""
LOCKS = 0x6D617273
"""First key of this project's advisory locks; the second is the study's id."""
KEEPALIVE = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
"""Behind these seconds the server takes the lock from a driver whose machine is gone: sooner than patience ends."""
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
"""The study's attribute that says who ran it last."""
REFUSALS = (IntegrityError, ProgrammingError, DataError)
"""What the database would answer again. All its other errors may pass."""

Done = TypeVar("Done")


class LockHeld(Exception):
    """Another connection holds the study's lock; `driver` is whose it was last, {} if not known."""

    def __init__(self, driver: dict[str, Any]):
        super().__init__("the study's lock is held by another connection")
        self.driver = driver


class DriverConnection:
    """The only one through which a study is written. The lock ends with it, however it ends.

    Args:
        url: of the database.
        study: its name.
        study_id: its key in the database.
        driver: who this is, of `this_driver`.
        tell: is told when the database is waited for, and when it is back.

    Raises:
        LockHeld: if another driver holds the study.
    """

    def __init__(self, url: str, study: str, study_id: int, driver: dict[str, Any], tell: Callable[[str], None]):
        self._url, self._study, self._study_id, self._driver, self._tell = url, study, study_id, driver, tell
        self._engine = engine(url)
        self._ours = False
        """Whether this driver has had the study."""
        self._connection: Connection | None = self._locked()
        self._ours = True

    def retry(self, work: Callable[[Connection], Done]) -> Done:
        """Do it in one transaction, anew where the database went away: work that was done already must do no harm.

        Raises:
            OSError: if the database refuses, stays away, or the study was given to another driver meanwhile.
        """
        pauses, since = itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])), None
        while True:
            try:
                self._connection = self._connection or self._locked()
                with self._connection.begin():
                    done = work(self._connection)
            except REFUSALS as error:
                raise OSError(f"{self._url}: {reason(error)}") from error
            except (DBAPIError, LockHeld) as error:
                self.close()
                since = since or self._waits(error)
                if time.monotonic() - since > PATIENCE_SECONDS:
                    raise OSError(f"{self._url}: {reason(error)}, for {PATIENCE_SECONDS:.0f} s") from error
                time.sleep(next(pauses))
            else:
                if since is not None:
                    self._tell("the database is back: the search continues, nothing is lost")
                return done

    def close(self) -> None:
        """Let another driver have the study."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _waits(self, error: Exception) -> float:
        self._tell(f"the database is gone ({reason(error)}): the search waits for it, {PATIENCE_SECONDS:.0f} s at most")
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
                    connection.execute(
                        upsert(models.StudyUserAttributeModel, key, {"value_json": json.dumps(self._driver)})
                    )
        except BaseException:
            connection.close()
            raise
        return connection

    def _last_driver(self, connection: Connection) -> dict[str, Any]:
        model = models.StudyUserAttributeModel
        text = connection.scalar(select(model.value_json).where(model.study_id == self._study_id, model.key == DRIVER))
        return {} if text is None else json.loads(text)


def upsert(model: Any, key: dict[str, Any], values: dict[str, Any]) -> Insert:
    """Insert a row of one of Optuna's tables, or change the one that has the key."""
    return insert(model).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values)


def with_driver(url: str) -> str:
    """For SQLAlchemy, which would take another driver than the one that is installed here."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def engine(url: str) -> Engine:
    return create_engine(with_driver(url), **ENGINE)


@contextmanager
def refused(url: str) -> Iterator[None]:
    """Turns what a database answers into ValueError."""
    try:
        yield
    except ImportError as error:
        raise ValueError(
            f"{url}: a study in PostgreSQL needs psycopg: pip install 'mars-search[postgres]' ({error})"
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise ValueError(f"{url}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """In one line, without the statement."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return f"{text}; the password comes from PGPASSWORD or ~/.pgpass" if "password" in text else text
