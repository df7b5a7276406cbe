"""A real PostgreSQL server on this machine, in a folder of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from optuna.study import StudyDirection

from search.ledger.named_places import reachable_place
from tests.processes.ports import free_port

USER, PASSWORD = "searcher", "a secret of the tests"
DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """Return the folder of initdb and postgres; None if they are not installed."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    return versions[-1].parent if versions else None


class PostgresServer:
    """A server with one role, which has all rights and a password. Its databases outlive a kill.

    PostgreSQL refuses to run as root: if the tests do, the server runs as the user nobody.

    Args:
        durable: whether it waits for the disk, as it does in production.
    """

    def __init__(self, *, durable: bool = False) -> None:
        found = binaries()
        assert found is not None
        self._binaries, self._databases = found, itertools.count()
        self._fsync = "on" if durable else "off"
        self._account = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.getuid() == 0 else {}
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # unlike a test's, other users may enter it
        if self._account:
            shutil.chown(self._folder, "nobody")
        self.port = free_port()
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        # Each read of a study makes a new connection. Without durability, the check of the password is cheap as well.
        way = "scram-sha-256" if durable else "password"
        self._run("initdb", f"--auth={way}", f"--username={USER}", f"--pwfile={secret}", "--no-sync")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._binaries / program, "-D", self._folder / "data", *arguments]
        subprocess.run(command, **self._account, cwd=self._folder, check=True, capture_output=True)

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._folder / "data", "-p", str(self.port), "-k", self._folder]
                + ["-h", "127.0.0.1", "-c", f"fsync={self._fsync}"],
                **self._account,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.execute("SELECT 1")
            except Exception:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """End the server and its sessions at once, as a crash does."""
        server = psutil.Process(self._server.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        self._server.wait()
        while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
            time.sleep(0.01)

    def remove(self) -> None:
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGQUIT)  # at once: its data is deleted anyway
            self._server.wait()
        shutil.rmtree(self._folder)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run the statement in its own transaction; returns the rows that it finds."""
        import psycopg

        with psycopg.connect(self.url(database), password=PASSWORD, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        name = f"studies{next(self._databases)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


class SharedDatabase:
    """A database that many tests use in turn, because it takes seconds to create one with its tables.

    Args:
        server: server of the database; its password is in the environment.
    """

    def __init__(self, server: PostgresServer):
        from optuna.storages import RDBStorage

        from search.storage.postgres_connection import ENGINE, with_driver

        self.url, self._server = server.new_database(), server
        self._tables = RDBStorage(with_driver(self.url), dict(ENGINE))

    def begin_study(self, folder: Path) -> None:
        """Empty the database, and begin a study in it and in a new folder."""
        self._server.execute("TRUNCATE studies CASCADE", self.url.rpartition("/")[2])
        self._tables.create_new_study([StudyDirection.MAXIMIZE], folder.name)
        folder.mkdir()
        reachable_place(folder, self.url).record()
