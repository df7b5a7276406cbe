"""Names of studies: given with `--name` or derived from the data's name, under the same rule."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from search.storage.location import has_study

MOST_LETTERS = 100
RULE = "a name consists of letters, digits, '.', '_' and '-', and begins with a letter or digit"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(text: str) -> str:
    """Return the name.

    Raises:
        ValueError: if it breaks the rule; suggests the name that a study of data with that name has.
    """
    if NAME.fullmatch(text):
        return text
    longer = f", and has at most {MOST_LETTERS} characters" if len(text) > MOST_LETTERS else ""
    similar = f"; did you mean {made!r}?" if (made := _similar(text)) else ""
    raise ValueError(f"{text!r}: {RULE}{longer}{similar}")


def name_after(data: str, suffix: str = "") -> str:
    """Make a name from the data's: accents are dropped, and "-" replaces other characters that a name cannot have.

    Args:
        data: name of the data file without its extension.
        suffix: end of the name.

    Raises:
        ValueError: if no character of the data's name is left.
    """
    name = _similar(data, MOST_LETTERS - len(suffix))
    if not name:
        raise ValueError(f"--data: {data!r} has no character for a study's name: give a name, such as --name study")
    return check_name(name + suffix)


def _similar(text: str, most: int = MOST_LETTERS) -> str:
    """Return the most similar name that keeps the rule; empty if no character is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:most].rstrip("._-")


def derived_name(data: str, suffix: str, root: Path | None) -> tuple[str, str | None]:
    """Return the name of a study without `--name`, and a message if it is not simply the data's name.

    Args:
        data: name of the data file without its extension.
        suffix: end of the name.
        root: folder of the studies on this machine; None if they are elsewhere.

    Raises:
        ValueError: if no name can be made from the data's.
    """
    whole = data + suffix
    if NAME.fullmatch(whole):
        return whole, None
    # Older versions used the data's name unchanged: such studies continue under that name.
    if root is not None and data.strip(".") and has_study(root / whole):
        rename = f"rename {root / whole} to {name_after(data, suffix)}"
        return (
            whole,
            f"study {whole!r} has a name that --status and --stop do not accept: {rename}, and it continues there",
        )
    name = name_after(data, suffix)
    return name, f"the study's name is {name}, made from {whole!r}: {RULE}; choose another one with --name"
