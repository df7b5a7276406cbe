"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    import torch

    torch.set_num_threads(1)  # tests compare sums: their order must not depend on the machine


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared data goes to one folder of the test session, never to the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("MARS_SEARCH_CACHE", str(folder))


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """URIs of objects in a bucket of a real S3 server on this machine."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    query = f"scheme=http&endpoint_override={host}:{port}&region=us-east-1&allow_bucket_creation=true"
    filesystem, path = fs.FileSystem.from_uri(f"s3://bucket?{query}")
    filesystem.create_dir(path)
    yield lambda key: f"s3://bucket/{key}?{query}"
    server.stop()
