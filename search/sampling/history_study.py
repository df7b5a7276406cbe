"""A study of given trials, in which a sampler draws one more. It overrides a private method of Optuna's `Study`.

Public alternative: `Study.add_trials` on a new study for each proposal, which copies and checks hundreds of trials each
time and changes their numbers. `tests/search/sampling/test_history_study.py` fails when a new version of Optuna no
longer reads a study's trials through this method.
"""

from __future__ import annotations

import copy
from collections.abc import Container

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class HistoryStudy(optuna.Study):
    """A study of given trials, in which one more trial is sampled; nothing is written to a storage.

    Args:
        trials: the trials that the sampler reads, by number.
        sampler: draws the values of the new trial.
    """

    def __init__(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler):
        storage = InMemoryStorage()
        storage.create_new_study([StudyDirection.MAXIMIZE], "drafts")
        super().__init__("drafts", storage, sampler=sampler)
        self._seen = trials
        if trials and trials[0].number == 0:  # the number of the new trial, which samplers exclude
            first = copy.copy(trials[0])
            first.number = trials[-1].number + 1
            self._seen = [first, *trials[1:]]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials
