from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.foreign_text import distinct_names, one_line

ANY = st.text(st.characters(), max_size=40)


@given(ANY, st.none() | st.integers(4, 30))
def test_a_line_is_short_enough_can_be_encoded_and_holds_nothing_that_acts(text, most):
    line = one_line(text, most)
    assert most is None or len(line) <= most
    assert line.encode().decode() == line
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    assert "\t" not in line


@pytest.mark.parametrize("name", ["big rock", "price $5", "[bold]x", "<b>", "a/b", "línea 砂"])
def test_harmless_names_stay_as_they_are(name):
    assert one_line(name) == one_line(name, 24) == name


def test_long_names_keep_their_ends():
    assert one_line("abcdefghijklmnopqrstuvwxyz", 10) == "abcdef…xyz"


@given(st.lists(ANY, unique=True, max_size=8), st.none() | st.integers(4, 12))
def test_names_that_differ_still_differ(names, most):
    shown = distinct_names(names, most)
    assert list(shown) == names
    assert len(set(shown.values())) == len(names)
    assert all(shown.values())


def test_names_that_would_be_equal_get_their_position():
    assert list(distinct_names(["\ud800", "\ud801", "soil"]).values()) == ["� #0", "� #1", "soil"]
    assert list(distinct_names(["\ud800", "\ud801", "� #1"]).values()) == ["� #0", "� #1 #1", "� #1"]
