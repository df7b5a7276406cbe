from __future__ import annotations

import pytest

from trainables.registry import lookup


def test_an_unknown_name_lists_the_known_ones():
    assert lookup({"a": 1, "b": 2}, "b", "letter") == 2
    with pytest.raises(ValueError, match="unknown letter 'c': must be one of a, b"):
        lookup({"a": 1, "b": 2}, "c", "letter")
