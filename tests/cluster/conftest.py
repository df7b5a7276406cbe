from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pins() -> dict[str, str]:
    """Tested versions by package."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="session")
def launcher_file() -> Callable[[str], dict[str, Any]]:
    """What a file for `ray up` says."""
    return lambda name: yaml.safe_load((ROOT / "cluster" / f"{name}.yaml").read_text())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
