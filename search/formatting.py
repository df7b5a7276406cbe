"""How times, configurations and texts of others read."""

from __future__ import annotations

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands for each character that a terminal would act on."""
_ACTED_ON = {
    *range(0x20),  # ESC, BEL, backspace, carriage return, ...
    0x7F,
    *range(0x80, 0xA0),  # the same with one byte: CSI, OSC, ...
    *(0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # turn the direction of writing around
    *(0x2028, 0x2029, 0xFEFF, *range(0x200B, 0x200E), *range(0xE0000, 0xE0080)),  # line breaks, and what is not seen
    *range(0xD800, 0xE000),  # halves of characters, which cannot be written
} - {ord("\n"), ord("\t")}
_MARKS = dict.fromkeys(_ACTED_ON, MARK)


def clean(text: str) -> str:
    """The text without what a terminal acts on, but for line breaks and tabs; it is as long as before."""
    return text.translate(_MARKS)


def duration(seconds: float | None) -> str:
    """ "1 h 05 min", "3 min 20 s", "12 s", or "?" if not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def config_line(params: dict[str, object]) -> str:
    """The searched parameters in one line: "depth 3, width 16, ..."."""
    shown = []
    for name, value in params.items():
        concern, _, leaf = name.partition(".")
        label = concern if leaf in ("", "name") else leaf
        shown.append(f"{label} {value:.3g}" if isinstance(value, float) else f"{label} {value}")
    return ", ".join(shown)
