"""A console that prints foreign text literally: it cannot move the cursor, colour the terminal, or act as markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from search.formatting import clean


class Terminal(Console):
    """A console for untrusted text, which it cleans and does not interpret as markup, links or emoji.

    This applies to strings, also in tables and titles. A `rich.text.Text` is printed unchanged: `clean` its parts.
    """

    def __init__(self, **options: Any):
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(clean(text), **options)
