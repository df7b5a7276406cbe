from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., subprocess.CompletedProcess[str]]


def tiny_pairs(count: int = 24) -> np.ndarray:
    """(count, 2, 16, 24) uint8: images whose brightness gives their labels 0 to 4 away."""
    masks = np.random.default_rng(0).integers(0, 5, (count, 4, 6)).repeat(4, axis=1).repeat(4, axis=2)
    return np.stack([masks * 50 + 20, masks], axis=1).astype(np.uint8)


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    pairs = tiny_pairs()
    np.savez(path, training_set=pairs, test_set=pairs[:5, 0])
    return path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs a script of the project as a user does, with its studies in a folder of the test."""

    def run(
        script: str, *arguments: object, timeout: int = 150, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / script), *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"COLUMNS": "160"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """Ray on this machine, with the dashboard that worker groups need."""
    import ray

    from search.connection import start_ray

    start_ray(dashboard=True)
    yield
    ray.shutdown()
