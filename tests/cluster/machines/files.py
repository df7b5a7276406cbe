"""The files that make clusters, and what they have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "cluster"


def launcher_file(name: str) -> dict[str, Any]:
    """What a file for `ray up` says."""
    return yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())


def pins() -> dict[str, str]:
    """Tested versions by package."""
    return dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
