"""The short form of `chaos.py`, whose long form is `make chaos`."""

from __future__ import annotations

import pytest

from search.ledger.ledger import Ledger
from tests.integration.chaos import check_equal, check_invariants, disturbed

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
TRIALS = 8


def test_a_disturbed_search_ends_with_the_ledger_of_an_undisturbed_one(tmp_path):
    disturbed(tmp_path / "undisturbed", TRIALS, slots=1, faults=0, seed=0)
    happened = disturbed(tmp_path / "disturbed", TRIALS, slots=1, faults=4, seed=1)
    assert happened.total() >= 2  # the study may end before all faults have happened
    check_invariants(tmp_path / "disturbed", TRIALS)
    expected = Ledger.open(tmp_path / "undisturbed").records()
    assert {record.state for record in expected} == {"complete", "pruned"}
    check_equal(Ledger.open(tmp_path / "disturbed").records(), expected)


def test_with_several_slots_every_trial_is_whole(tmp_path):
    assert disturbed(tmp_path / "study", 2 * TRIALS, slots=3, faults=4, seed=2).total() >= 2
    check_invariants(tmp_path / "study", 2 * TRIALS)
