from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.errors import LONGEST_ITEM, MOST_LISTED, listed


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (0, {}, ""),
        (1, {}, "0"),
        (3, {"most": 3}, "0, 1, 2"),
        (4, {"most": 3}, "0, 1, 2 and 1 more"),
        (2000, {"most": 3}, "0, 1, 2 and 1,997 more"),
        (9, {}, "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"),
        (3, {"most": 2, "separator": "; "}, "0; 1 and 1 more"),
        (3, {"most": 2, "separator": "\n  "}, "0\n  1\n  and 1 more"),
    ],
)
def test_the_first_are_shown_and_the_others_counted(count, options, expected):
    assert listed(range(count), **options) == expected


@pytest.mark.parametrize(("length", "end"), [(LONGEST_ITEM, "x"), (LONGEST_ITEM + 1, "x...")])
def test_a_long_item_is_cut(length, end):
    assert listed(["x" * length]) == "x" * (LONGEST_ITEM - 1) + end


@given(st.lists(st.text()))
def test_a_list_is_bounded(items):
    assert len(listed(items)) <= MOST_LISTED * (LONGEST_ITEM + 5) + len(f" and {len(items):,} more")
