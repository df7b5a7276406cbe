"""Drop lists: text files with the name or the index of an image a line, in which `#` begins a comment.

A name that could be read in another way is written as a JSON string, in double quotes.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from trainables.data.cleaning.unusable_pairs import Flagged

LONGEST = 40
"""Number of characters of a wrong line that a message shows."""
COMMENT = re.compile(r"(?:^|\s)#.*")
INDEX = re.compile("0|[1-9][0-9]{0,17}")
NUMBERED_COMMENT = re.compile(r"([0-9]+)#.*")


def read_drop_list(file: str) -> dict[int | str, int]:
    """Return the entries of a drop list, each with the number of the first line that has it.

    Indices come first, in ascending order, and then names in alphabetic order.

    Raises:
        ValueError: if the file cannot be read, or a line is broken; the message names the file, the line and the rule.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read as a drop list ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a drop list, which is a text file ({error})") from error
    lines: dict[int | str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if (entry := _entry(line.strip(), f"{file}, line {number}")) is not None:
            lines.setdefault(entry, number)
    return dict(sorted(lines.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _entry(line: str, what: str) -> int | str | None:
    """Return the index or name in a line; None if it has none."""
    if line.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            name, end = None, 0
        if not isinstance(name, str) or COMMENT.sub("", line[end:]).strip():
            shown = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
            raise ValueError(
                f'{what}: {shown} is not a name in double quotes: end it with one, and write \\" inside it'
            )
        return name
    value = COMMENT.sub("", line).strip()
    if (numbered := NUMBERED_COMMENT.fullmatch(value)) is not None:
        value = numbered[1]
    return int(value) if INDEX.fullmatch(value) else value or None


def drop_list_of(flagged: Iterable[Flagged], names: Sequence[str] | None = None) -> str:
    """Return the content of a drop list of these images, by their names if they have some; the reasons are comments."""
    return "".join(
        f"# {len(pairs.indices)} images that {pairs.reason}\n"
        + "".join(f"{index if names is None else _written(names[index])}\n" for index in pairs.indices)
        for pairs in flagged
    )


def _written(name: str) -> str:
    """Return the line that means a name."""
    try:
        plain = name.isprintable() and _entry(name, "") == name
    except ValueError:
        plain = False
    return name if plain else json.dumps(name)


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """Return the name that the user may have meant: one with the same file name, or else one that is spelled alike."""
    path = PurePosixPath(name)
    for same in (lambda other: other.name == path.name, lambda other: other.stem == path.stem):
        found = [other for other in names if same(PurePosixPath(other))]
        if len(found) == 1:
            return found[0]
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
