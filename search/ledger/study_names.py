"""What studies are called: as `--name` says, or after their data, by the same rule."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from search.storage.location import has_study

MOST_LETTERS = 100
RULE = "a name has letters, digits, '.', '_' and '-', and begins with a letter or digit"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(text: str) -> str:
    """Raises ValueError for what is no name."""
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r}: {RULE}{f', {MOST_LETTERS} at most' if len(text) > MOST_LETTERS else ''}")
    return text


def name_after(data: str, suffix: str = "") -> str:
    """A name made of the data's: accents are left out, and a "-" stands for all else that no name has.

    Args:
        data: the data file's name without its ending.
        suffix: that the name ends with.

    Raises:
        ValueError: if nothing is left of it.
    """
    plain = unicodedata.normalize("NFKD", data).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[: MOST_LETTERS - len(suffix)].rstrip("._-")
    if not name:
        raise ValueError(f"--data: nothing of {data!r} can be a study's name: give one, such as --name study")
    return check_name(name + suffix)


def derived_name(data: str, suffix: str, root: Path | None) -> tuple[str, str | None]:
    """The name of a study without `--name`, and what is to be said of it if it is not simply the data's.

    Args:
        data: the data file's name without its ending.
        suffix: that the name ends with.
        root: folder of the studies here; None if they are elsewhere.

    Raises:
        ValueError: if no name can be made of the data's.
    """
    whole = data + suffix
    if NAME.fullmatch(whole):
        return whole, None
    # Older versions named studies after their data whatever it was: they continue under their names.
    if root is not None and data.strip(".") and has_study(root / whole):
        rename = f"rename {root / whole} to {name_after(data, suffix)}"
        return (
            whole,
            f"study {whole!r} has a name that --status and --stop do not take: {rename}, and it continues there",
        )
    name = name_after(data, suffix)
    return name, f"the study's name is {name}, after {whole!r}: {RULE}; --name gives another"
