"""What all figures of the report share: their style, and how they become inline SVG.

Lines and text have the colour of the page's text, and the background is transparent, so that figures suit light and
dark pages. Data has the colours of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import html
import io
import warnings
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
GREY = "#999999"
INK = "#010203"
"""Placeholder for the colour of the page's text; nothing else is drawn in it."""
RASTER_DPI = 200
"""Resolution of what is drawn as pixels, because it would have too many shapes."""

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a class name is not TeX
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}
"""Settings of matplotlib for all figures."""


def axes_of(width: float = 4.8, height: float = 3) -> tuple[Figure, mpl.axes.Axes]:
    """Return a figure of that size in inches, and its only axes."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def svg(figure: Figure, label: str) -> str:
    """Return the figure as inline SVG; screen readers read `label` instead."""
    buffer = io.StringIO()
    unneeded = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # Letters that the font lacks are only measured here: the browser draws the text, with a font of its own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata=unneeded, dpi=RASTER_DPI)
    text = buffer.getvalue()
    return (
        text[text.index("<svg") :]
        .replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
        .replace(INK, "currentColor")
    )
