"""Formatting of durations and configurations; text from outside is cleaned before it is printed."""

from __future__ import annotations

from trainables.errors import clean as clean  # for whoever prints in this package


def duration(seconds: float | None) -> str:
    """Format a duration as "1 h 05 min", "3 min 20 s" or "12 s"; as "?" if it is not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def config_line(params: dict[str, object]) -> str:
    """Format the searched parameters in one line: "depth 3, width 16, ..."."""
    return ", ".join(f"{parameter_label(name)} {parameter_value(value)}" for name, value in params.items())


def parameter_label(name: str) -> str:
    """Return the name of a parameter without its part: "lr" of "optimizer.lr", but "optimizer" of "optimizer.name"."""
    part, _, leaf = name.partition(".")
    return part if leaf in ("", "name") else leaf


def parameter_value(value: object) -> str:
    """Format the value of a parameter."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
