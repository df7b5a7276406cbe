"""The tables of Optuna's `RDBStorage`, which are private to Optuna, as the driver of a study in a database uses them.

Public alternative: the methods of `RDBStorage`. They open connections of their own, so that the driver's changes could
not be tied to the connection that holds the study's lock; and each is a transaction of its own, which cannot be
repeated safely when its answer is lost. `tests/search/storage/test_optuna_tables.py` fails when a new version of Optuna
changes a table.
"""

from __future__ import annotations

from typing import Any

from optuna.storages._rdb.models import (
    StudyModel,
    StudyUserAttributeModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import FrozenTrial

__all__ = [
    "ENDED",
    "StudyModel",
    "StudyUserAttributeModel",
    "TrialIntermediateValueModel",
    "TrialModel",
    "TrialParamModel",
    "TrialUserAttributeModel",
    "TrialValueModel",
    "key_of",
]

ENDED: Any = TrialModel._datetime_complete_utc
"""The column with the time at which a trial ended, in UTC."""


def key_of(trial: FrozenTrial) -> int:
    """Return the key of a trial in the database.

    Public alternative: `RDBStorage.get_trial_id_from_study_id_trial_number`, a query for each trial.
    """
    return trial._trial_id
