"""Formatting of durations and configurations, and cleaning of text from outside before it is printed."""

from __future__ import annotations

MARK = "\N{REPLACEMENT CHARACTER}"
"""Replaces each character that a terminal would interpret."""
_ACTED_ON = {
    *range(0x20),  # ESC, BEL, backspace, carriage return, ...
    0x7F,
    *range(0x80, 0xA0),  # their one-byte forms: CSI, OSC, ...
    *(0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # change the writing direction
    *(0x2028, 0x2029, 0xFEFF, *range(0x200B, 0x200E), *range(0xE0000, 0xE0080)),  # line breaks and invisible characters
    *range(0xD800, 0xE000),  # surrogates, which cannot be encoded
} - {ord("\n"), ord("\t")}
_MARKS = dict.fromkeys(_ACTED_ON, MARK)


def clean(text: str) -> str:
    """Replace the characters that a terminal would interpret, except line breaks and tabs; the length stays."""
    return text.translate(_MARKS)


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
