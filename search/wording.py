"""How times and configurations read."""

from __future__ import annotations


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
