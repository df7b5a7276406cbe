"""Measures configurations in a process of its own."""

from __future__ import annotations

import json
from typing import Any

from trainables.data import DataSource
from trainables.profiling.probe import Probe


def print_measured(data: str, *configs: dict[str, Any]) -> None:
    """Print as JSON the measured needs of each configuration on this process's device, and its memory in bytes."""
    prober = Probe(DataSource(uri=data))
    print(json.dumps([*(vars(prober.measure(config, 0.0)) for config in configs), prober.device().memory]))
