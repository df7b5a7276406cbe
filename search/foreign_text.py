"""Text from outside, such as class names, made safe for each medium that shows it.

- terminal: `search/views/safe_console.py` cleans whatever it prints, and takes nothing as markup.
- page: its template engine passes each value through `clean`, then escapes it.
- figures, columns of files, TensorBoard tags: each name is one of `distinct_names`, a single line that can be encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from search.formatting import clean

CUT = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for the letters that a shortened name lacks."""


def one_line(text: str, most: int | None = None) -> str:
    """Return text in one line of at most `most` characters, without characters that are acted on or not encodable.

    Longer text loses letters from its middle.
    """
    line = " ".join(clean(text).split())
    if most is None or len(line) <= most:
        return line
    tail = (most - 1) // 3
    return line[: most - 1 - tail] + CUT + line[len(line) - tail :]


def distinct_names(names: Sequence[str], most: int | None = None) -> dict[str, str]:
    """Return `one_line` of each name, by name. Names that would be equal get their position appended: "rock #2".

    Args:
        names: different names, in an order that is the same every time.
        most: most characters of a name, without its position; None: no limit.
    """
    lines = {name: one_line(name, most) for name in names}
    counts = Counter(lines.values())
    shown: dict[str, str] = {}
    for position, (name, line) in enumerate(lines.items()):
        text, taken = line, counts[line] > 1
        while not text or taken:
            text = f"{text} #{position}".lstrip()
            taken = text in counts or text in shown.values()
        shown[name] = text
    return shown
