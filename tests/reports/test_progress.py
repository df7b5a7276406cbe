from __future__ import annotations

import io

import pytest
from rich.console import Console

from reports.progress import tracked


@pytest.mark.parametrize("terminal", [True, False])
def test_every_item_comes_through(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert list(tracked(console, iter("abc"), 3, "reading")) == ["a", "b", "c"]


@pytest.mark.parametrize(("total", "lines"), [(1, 1), (3, 3), (10, 10), (157, 10)])
def test_without_a_terminal_there_is_a_line_every_tenth(total, lines):
    console = Console(file=io.StringIO())
    list(tracked(console, range(total), total, "predicting"))
    text = console.file.getvalue().splitlines()
    assert len(text) == lines
    assert text[-1] == "  predicting 100%  0 s left"
