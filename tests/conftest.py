"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from search.library_output import quiet_optuna
from tests.processes.postgres import PASSWORD, PostgresServer, SharedDatabase, binaries

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Ray would start a process per CPU with the first driver. No trial could use them: trials have their own environment.
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 - Ray's spelling

# Tests compare numbers exactly, which sums on a GPU do not allow. With TEST_GPU=1, only tests marked `gpu` run.
if Path("/dev/nvidiactl").exists() and "TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

quiet_optuna()

BEGUN = time.monotonic()

settings.register_profile("untimed", deadline=None)  # the speed of an example depends on the machine's load
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that two processes that share the files end at about the same time.

    With TEST_GPU, keep only the tests marked `gpu`.
    """
    if "TEST_GPU" in os.environ:
        items[:] = [item for item in items if item.get_closest_marker("gpu")]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup() -> None:
    """With TEST_MINUTES, skip the tests that would begin after so many minutes, so that a slow machine ends in time."""
    minutes = os.environ.get("TEST_MINUTES")
    if minutes is not None and time.monotonic() - BEGUN > 60 * float(minutes):
        pytest.skip(f"the {minutes} minutes of TEST_MINUTES are over")


def pytest_collection_finish() -> None:
    """Exclude all objects so far, mostly of imports, from garbage collections, which would take a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    import torch

    torch.set_num_threads(1)  # tests compare sums: their order must not depend on the machine


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep prepared data in one folder of the test session, never in the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("MARS_SEARCH_CACHE", str(folder))


@pytest.fixture(autouse=True)
def _own_notes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the places that a test names on a command line in a folder of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setattr("search.ledger.named_places._named_here", [])


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the output of scripts."""
    return tmp_path_factory.mktemp("logs")


class S3Server:
    """A real S3 server on this machine. Its content outlives a stop."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()

    def stop(self) -> None:
        self._server.stop()

    def empty(self) -> None:
        """Delete the content of earlier tests' servers, which all servers of this process share."""
        reset = urllib.request.Request(f"http://127.0.0.1:{self.port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset, timeout=60).close()

    def uri(self, key: str) -> str:
        query = f"scheme=http&endpoint_override=127.0.0.1:{self.port}&region=us-east-1&allow_bucket_creation=true"
        return f"s3://bucket/{key}?{query}"


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    from pyarrow import fs

    pytest.importorskip("moto.server", reason="moto, the S3 server of the tests, is not installed (make test-all)")

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = S3Server()
    server.empty()
    filesystem, _ = fs.FileSystem.from_uri(server.uri(""))
    filesystem.create_dir("bucket")
    yield server
    server.stop()


@pytest.fixture
def object_store(s3_server: S3Server) -> Callable[[str], str]:
    """Returns URIs of objects in a bucket of a real S3 server on this machine."""
    return s3_server.uri


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="psycopg is not installed (make test-all)")
    if binaries() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def postgres(_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """A real PostgreSQL server on this machine, with its password in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return _postgres_server


@pytest.fixture(scope="session")
def _shared_database(_postgres_server: PostgresServer) -> SharedDatabase:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSWORD", PASSWORD)
        return SharedDatabase(_postgres_server)


@pytest.fixture
def study_database(postgres: PostgresServer, _shared_database: SharedDatabase, tmp_path: Path) -> str:
    """URL of a database that holds only the new study of the folder "study"."""
    _shared_database.begin_study(tmp_path / "study")
    return _shared_database.url
