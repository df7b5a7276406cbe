from __future__ import annotations

import copy
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal
from search.storage.entry_validation import check_entry
from search.storage.journal import Journal
from search.storage.journal_merging import merged
from search.storage.location import FILE

NOW = datetime(2030, 1, 1).isoformat()
BEGUN = {"op_code": 0, "worker_id": "w", "study_name": "study", "directions": [2]}


class Listed(BaseJournalBackend):
    """Entries that nothing is appended to."""

    def __init__(self, entries):
        self.entries = entries

    def read_logs(self, log_number_from):
        yield from self.entries[log_number_from:]

    def append_logs(self, logs):
        raise AssertionError


def replayed(entries):
    """All that Optuna has of each study after these entries."""
    storage = JournalStorage(Listed(copy.deepcopy(entries)))
    studies = storage.get_all_studies()
    return [
        (study.study_name, study.user_attrs, [vars(trial) for trial in storage.get_all_trials(study._study_id)])
        for study in studies
    ]


def created(study=0, **changes):
    return {"op_code": 4, "worker_id": "w", "study_id": study, "datetime_start": NOW} | changes


def of_trial(operation, trial, **content):
    return {"op_code": operation, "worker_id": "w", "trial_id": trial} | content


def state(trial, value):
    return of_trial(6, trial, state=value, values=None, datetime_start=NOW, datetime_complete=NOW)


STATES = [state.value for state in TrialState]
X = {"distribution": distribution_to_json(FloatDistribution(0.0, 1.0))}
TRIALS = st.integers(0, 3)
CREATED = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(STATES),
        "user_attrs": st.just({"config": {}}),
        "intermediate_values": st.dictionaries(st.sampled_from(["1", "2"]), st.floats(0, 1), max_size=2),
        "datetime_complete": st.just(NOW),
    },
).map(lambda changes: created(**changes))
ENTRIES = st.one_of(
    CREATED,
    CREATED,
    st.builds(lambda t, n, v: of_trial(7, t, step=n, intermediate_value=v), TRIALS, st.integers(1, 3), st.floats(0, 1)),
    st.builds(lambda t, n: of_trial(8, t, user_attr={f"epoch {n}": n}), TRIALS, st.integers(1, 3)),
    st.builds(lambda t, n: of_trial(9, t, system_attr={"n": n}), TRIALS, st.integers(1, 3)),
    st.builds(lambda t, v: of_trial(5, t, param_name="x", param_value_internal=v, **X), TRIALS, st.floats(0, 1)),
    st.builds(state, TRIALS, st.sampled_from(STATES)),
    st.builds(lambda n: {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"n": n}}, st.integers(1, 3)),
)


@given(st.lists(ENTRIES, max_size=12))
def test_the_merged_entries_replay_to_the_same_study(entries):
    entries = [BEGUN, *entries]
    for entry in entries:
        check_entry(entry)
    before = copy.deepcopy(entries)
    shorter = merged(entries)
    assert entries == before
    assert len(shorter) <= len(entries)
    assert replayed(shorter) == replayed(entries)
    for entry in shorter:
        check_entry(entry)


EPOCH = of_trial(7, 0, step=1, intermediate_value=0.5)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [created(), EPOCH],
        [BEGUN, BEGUN | {"study_name": "other"}, created(1), EPOCH],
        [BEGUN, created(), {"op_code": 1, "worker_id": "w", "study_id": 0}, EPOCH],
        [BEGUN, EPOCH, created()],
        [BEGUN, created(state=TrialState.COMPLETE.value, datetime_complete=NOW), EPOCH],
        [BEGUN, created(), state(0, TrialState.PRUNED.value), EPOCH],
    ],
)
def test_an_entry_that_may_not_count_stays_where_it_is(entries):
    assert [entry["op_code"] for entry in merged(entries)] == [entry["op_code"] for entry in entries]


def test_all_epochs_of_a_ledger_come_with_their_trials(tmp_path, make_report):
    ledger = Ledger.create(tmp_path / "study")
    journal = Journal(tmp_path / "study" / FILE, writable=False, merge=merged)
    fresh = len(list(journal.read_logs(0)))
    for _ in range(3):
        number = ledger.begin(Proposal(params={}, distributions={}, config={"training.batch_size": 8})).number
        for epoch in range(1, 21):
            ledger.add_epoch(number, make_report(epoch, epoch / 100))
        ledger.complete(number)
    journal = Journal(tmp_path / "study" / FILE, writable=False, merge=merged)
    whole = list(journal.read_logs(0))
    assert len(whole) == fresh + 3 * 2
    assert [len(entry["user_attrs"]) for entry in whole if entry["op_code"] == 4] == [21] * 3
    ledger.study.set_user_attr("later", 1)
    assert [entry["user_attr"] for entry in journal.read_logs(len(whole))] == [{"later": 1}]
    assert Ledger.open(tmp_path / "study").records() == ledger.records()
