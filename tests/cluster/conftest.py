from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.machines.hosts import Hosts, missing


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """A laptop and three machines: head, one and two."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Hosts(tmp_path / "hosts") as hosts:
        yield hosts
