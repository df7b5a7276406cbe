"""The record of a study's space, which must not change when the study continues."""

from __future__ import annotations

from typing import Any

from search.study.space import Parameter, Space
from trainables.errors import listed

MOST_SHOWN = 30
"""Number of parameters that a message names: more than a space of this project has."""


def described(space: Space) -> dict[str, dict[str, Any]]:
    """Describe each parameter by name, in JSON types: its values, and when it exists."""
    return {parameter.name: _described(parameter) for parameter in space.parameters}


def check_same_space(space: Space, recorded: dict[str, dict[str, Any]], name: str) -> None:
    """Refuse to continue a study in another space: samplers read its trials as points of the current one.

    Args:
        space: the current space.
        recorded: what `described` returned when the study began; {} for a study that is older than this record.
        name: name of the study.

    Raises:
        ValueError: naming each parameter that differs.
    """
    if not recorded:
        return
    now = described(space)
    differing = [f"{key} is gone" for key in recorded if key not in now]
    differing += [f"{key} is new" for key in now if key not in recorded]
    differing += [
        f"{key} was {_text(recorded[key])}, is now {_text(now[key])}"
        for key in now
        if key in recorded and recorded[key] != now[key]
    ]
    if differing:
        raise ValueError(
            f"study {name!r} exists with another space ({listed(differing, separator='; ', most=MOST_SHOWN)}): "
            "continue it with the code that began it, or give another --name"
        )


def _described(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices is not None:
        found: dict[str, Any] = {"choices": list(parameter.choices)}
    else:
        found = {"low": parameter.low, "high": parameter.high, "log": parameter.log, "whole": parameter.whole}
    if parameter.when is not None:
        found["when"] = [parameter.when[0], list(parameter.when[1])]
    if parameter.key is not None:
        found["key"] = parameter.key
    return found


def _text(recorded: Any) -> str:
    """Format a recorded parameter as `--dry-run` does, or with `repr` if an older version recorded it differently."""
    try:
        when = recorded.get("when")
        parameter = Parameter(
            name="",
            help="",
            choices=tuple(recorded["choices"]) if "choices" in recorded else None,
            low=recorded.get("low"),
            high=recorded.get("high"),
            log=recorded.get("log", False),
            whole=recorded.get("whole", False),
            when=(when[0], tuple(when[1])) if when else None,
        )
        kind = " (whole numbers)" if parameter.whole else ""
        key = f" as {recorded['key']}" if "key" in recorded else ""
        condition = f" [{parameter.describe_condition()}]" if when else ""
        return f"{parameter.describe_range()}{kind}{key}{condition}"
    except (AttributeError, LookupError, TypeError, ValueError):
        return repr(recorded)
