from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.fair_share import share


@pytest.mark.parametrize(
    ("wanted", "places", "due"),
    [
        ([8], 8, [8]),
        ([8, 8], 8, [4, 4]),
        ([8, 2], 8, [6, 2]),
        ([8, 8, 1], 8, [4, 4, 1]),
        ([3, 3], 5, [3, 3]),  # one more than there are places waits in Ray's queue
        ([8, 8, 8], 1, [1, 1, 1]),
    ],
)
def test_places_are_shared_evenly(wanted, places, due):
    assert [share(own, wanted, places) for own in wanted] == due


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 60))
def test_nobody_starves_nobody_gets_more_than_it_wants_and_nothing_is_left_over(wanted, places):
    due = [share(own, wanted, places) for own in wanted]
    assert all(1 <= share <= own for share, own in zip(due, wanted, strict=True))
    assert sum(due) >= min(places, sum(wanted))
    assert sum(due) < places + len(wanted) or min(due) == 1
