"""The journal of a study with entries of every kind, for tests to damage."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from search.ledger.ledger import Ledger
from search.ledger.records import Failure, Segment
from search.storage.location import FILE
from search.study.gpu_share import Placement
from search.study.space import Space
from tests.made.studies import begin, epoch_report, study_settings


def whole_journal(folder: Path, space: Space) -> list[bytes]:
    """Create the study in that folder, and return the lines of its journal, the same ones each time."""
    ledger = Ledger.create(folder)
    ledger.settings = dataclasses.asdict(study_settings(scheduler="asha-promotion", rung_metric="best"))
    ledger.placement = Placement(trials_per_gpu=2, device="a GPU", reason="memory")
    ledger.enqueue([{"model.depth": 2}])
    for number in range(4):
        begin(ledger, space)
        for epoch in range(1, 4 - number // 2):
            ledger.add_epoch(number, epoch_report(epoch, 0.1 * number + 0.05 * epoch))
        ledger.add_segment(number, Segment(start_seconds=1.0, wait_seconds=0.1, cpus=1.0, gpus=0.0))
    ledger.mark_audited(0, 1)
    ledger.add_failure(1, Failure(kind="error", epoch=1, message="RuntimeError: boom"))
    ledger.complete(0)
    ledger.prune(1)
    ledger.fail(2, "RuntimeError: boom")
    written = (folder / FILE).read_bytes()
    alike = re.sub(rb'"(worker_id|identity)":"[^"]*"', rb'"\1":"one"', written)
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+", b"2026-01-01T10:00:00.000000", alike).splitlines(keepends=True)
