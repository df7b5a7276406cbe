from __future__ import annotations

import sys

import pytest

from search.folders.path_text import check_text, shown


@pytest.mark.parametrize("path", ["a/b.npz", "café/\N{GREEK SMALL LETTER ALPHA}", "with space", "tab\tulator", ""])
def test_text_passes(path):
    check_text(path)


@pytest.mark.parametrize("path", ["a\nb", "a\rb", "a\0b"])
def test_one_line_is_needed(path):
    with pytest.raises(ValueError, match=r"^'a\\\S+b': a path must not contain line breaks: rename it$"):
        check_text(path)


def test_bytes_that_are_not_utf_8_are_refused_and_shown():
    with pytest.raises(ValueError, match=r"^'b\\xffd': its name is not UTF-8, which .* must be: rename it$"):
        check_text("b\udcffd")


def test_a_locale_without_the_characters_is_named(monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    expected = r"^'café': the locale's encoding \(ascii\) lacks characters of this path: set PYTHONUTF8=1$"
    with pytest.raises(ValueError, match=expected):
        check_text("caf\udcc3\udca9")


def test_what_people_see():
    assert shown("b\udcffd") == "b\\xffd"
    assert shown("caf\udcc3\udca9") == shown("café") == "café"
