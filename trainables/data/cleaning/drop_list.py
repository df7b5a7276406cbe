"""Drop lists: text files with the index of an image a line, in which `#` begins a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from trainables.data.cleaning.unusable_pairs import Flagged

LONGEST = 40
"""Number of characters of a wrong line that a message shows."""


def read_drop_list(file: str) -> dict[int, int]:
    """Return the indices in a drop list, in ascending order, each with the number of the line that has it.

    Raises:
        ValueError: if the file cannot be read, or a line is no index; the message names the file, the line, its
            content and the rule.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read as a drop list ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a drop list, which is a text file ({error})") from error
    lines: dict[int, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if value := line.partition("#")[0].strip():
            if not re.fullmatch("[0-9]{1,18}", value):
                shown = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
                raise ValueError(
                    f"{file}, line {number}: {shown!r} is not the index of an image, which is a whole "
                    "number from 0 on, one a line"
                )
            lines.setdefault(int(value), number)
    return dict(sorted(lines.items()))


def drop_list_of(flagged: Iterable[Flagged]) -> str:
    """Return the content of a drop list that names these images; the reasons are comments."""
    return "".join(
        f"# {len(pairs.indices)} images that {pairs.reason}\n" + "".join(f"{index}\n" for index in pairs.indices)
        for pairs in flagged
    )
