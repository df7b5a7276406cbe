"""Records of trials as a ledger returns them, made without a ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from search.ledger.records import TrialRecord
from tests.made.studies import epoch_report


def trial_record(number: int = 0, scores: Sequence[float | None] = (), **changes: Any) -> TrialRecord:
    """Return the record of a complete trial whose epochs had these scores."""
    values: dict[str, Any] = {
        "number": number,
        "state": "complete",
        "params": {},
        "config": {},
        "reports": tuple(epoch_report(epoch, score) for epoch, score in enumerate(scores, start=1)),
        "failures": (),
        "segments": (),
        "audited": None,
        "error": None,
        "started": None,
        "ended": None,
    }
    return TrialRecord(**values | changes)


def check_fixed(thing: Any) -> None:
    """Check that a record is immutable, and takes its values by keyword only."""
    names = [field.name for field in dataclasses.fields(thing)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, names[0], None)
    with pytest.raises(TypeError, match="positional"):
        type(thing)(*(getattr(thing, name) for name in names))
