"""What is printed is seen as it is: no text of somebody else's moves the cursor, colours a terminal, or is markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from search.formatting import clean


class Terminal(Console):
    """A console for texts that may be anybody's: they are cleaned, and none is markup, a link or an emoji.

    That holds for texts, also in tables and titles. A `rich.text.Text` is taken as it is: `clean` what it is made of.
    """

    def __init__(self, **options: Any):
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(clean(text), **options)
