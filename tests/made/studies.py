"""Pieces of studies for tests."""

from __future__ import annotations

from typing import Any

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from search.sampling.proposer import Proposer
from search.study.settings import StudySettings
from search.study.space import Space
from tests.processes.loops import epoch_report

__all__ = ["begin", "epoch_report", "study_settings"]


def study_settings(**changes: Any) -> StudySettings:
    """Return the settings of a small study on no particular data."""
    values: dict[str, Any] = {
        "data": "none",
        "fingerprint": "none",
        "images": None,
        "masks": None,
        "ignored_label": None,
        "crop": None,
        "keep_outliers": False,
        "drop_list": [],
        "seed": 0,
        "profile": "cpu",
        "space": "default",
        "overrides": {},
        "systems": [],
        "train_fraction": 1.0,
        "max_epochs": 9,
        "grace_epochs": 1,
        "reduction_factor": 3,
        "scheduler": "asha-stopping",
        "rung_metric": "last",
        "patience": 9,
        "grad_clip": 1.0,
        "ema_decay": None,
        "precision": "fp32",
        "checkpoints": "checkpoints",
    }
    return StudySettings(**values | changes)


def begin(ledger: Ledger, space: Space, **changes: Any) -> TrialRecord:
    """Begin a trial with a random configuration, and return its record; `changes` apply to the settings."""
    proposer = Proposer(ledger, space, study_settings(**changes), sampler="random")
    proposal = proposer.propose(len(ledger.records()))
    assert proposal is not None
    return ledger.begin(proposal)
