"""What a process of its own measures of configurations."""

from __future__ import annotations

import json
from typing import Any

from trainables.data import DataSource
from trainables.profiling.probe import Probe


def print_measured(data: str, *configs: dict[str, Any]) -> None:
    """Print as JSON what each configuration takes on this process's device, and the device's memory in bytes."""
    prober = Probe(DataSource(uri=data))
    print(json.dumps([*(vars(prober.measure(config, 0.0)) for config in configs), prober.device().memory]))
