"""The report's figures, as inline SVG or PNG data.

Lines and text have the colour of the page's text, and the background is transparent, so that figures suit light and
dark pages. Data has the colours of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np

from reports.inputs import StudyFacts
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from search.views.prediction_panels import class_colours, prediction_panel

mpl.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
GREY = "#999999"
STATE_COLOURS = {
    "complete": BLUE,
    "pruned": ORANGE,
    "failed": VERMILION,
    "running": GREY,
    "paused": SKY,
    "interrupted": GREY,
}
CURVE_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE)
"""Colours of the best trials, best first."""
MOST_NAMED = 20
"""Most classes whose names and numbers a figure shows. More would be illegible, and slow to draw."""
INK = "#010203"
"""Placeholder for the colour of the page's text; nothing else is drawn in it."""

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


def _svg(figure: Figure, label: str) -> str:
    """Return the figure as inline SVG; screen readers read `label` instead."""
    buffer = io.StringIO()
    unneeded = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata=unneeded)
    text = buffer.getvalue()
    return (
        text[text.index("<svg") :]
        .replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
        .replace(INK, "currentColor")
    )


def _axes(width: float = 4.8, height: float = 3) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def _curve(record: TrialRecord) -> tuple[list[int], list[float]]:
    """Return the scored epochs and their mean IoU."""
    scored = [(r.epoch, r.mean_iou) for r in record.reports if r.mean_iou is not None and not r.diverged]
    return [epoch for epoch, _ in scored], [score for _, score in scored]


@mpl.rc_context(STYLE)
def score_over_trials(facts: StudyFacts) -> str:
    """Draw every trial's score by number, and the best score so far."""
    figure, axes = _axes()
    scored = [record for record in facts.records if record.score is not None]
    for state, colour in STATE_COLOURS.items():
        chosen = [record for record in scored if record.shown_state == state]
        if chosen:
            numbers, scores = [r.number for r in chosen], [r.score or 0.0 for r in chosen]
            axes.plot(numbers, scores, "o", color=colour, label=state, markersize=5, alpha=0.8)
    best = np.maximum.accumulate([record.score or 0.0 for record in scored])
    axes.step(
        [record.number for record in scored], best, where="post", color=INK, linewidth=1, zorder=1, label="best so far"
    )
    axes.set(xlabel="trial", ylabel="best mean IoU (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _svg(figure, "Best mean IoU of each trial on the validation part, by trial number")


@mpl.rc_context(STYLE)
def learning_curves(facts: StudyFacts) -> str:
    """Draw the mean IoU by epoch of all trials, the best ones in colour."""
    figure, axes = _axes()
    best = ranked(facts.records)[: len(CURVE_COLOURS)]
    highlighted = {record.number for record in best}
    for record in facts.records:
        if record.number not in highlighted:
            axes.plot(*_curve(record), color=GREY, alpha=0.6, linewidth=0.8, marker=".", markersize=2)
    for record, colour in reversed(list(zip(best, CURVE_COLOURS, strict=False))):
        axes.plot(*_curve(record), color=colour, linewidth=1.6, marker=".", label=f"trial {record.number:04d}")
    axes.set(xlabel="epoch", ylabel="mean IoU (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right", reverse=True)
    return _svg(figure, "Mean IoU on the validation part by epoch, the best trials in colour")


@mpl.rc_context(STYLE)
def class_bars(facts: StudyFacts, by_part: dict[str, dict[str, float]]) -> str:
    """Draw the IoU of each class on each part: {"validation": {"soil": 0.8, ...}, ...}."""
    names = [facts.data.description.class_names[label] for label in facts.data.present_labels]
    figure, axes = _axes()
    width = 0.8 / len(by_part)
    for position, (part, values) in enumerate(by_part.items()):
        heights = [values.get(name, 0.0) for name in names]
        places = np.arange(len(names)) + (position - (len(by_part) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.95, label=part, color=(SKY, BLUE)[position % 2])
        if len(names) <= MOST_NAMED:
            axes.bar_label(bars, [f"{values[name]:.2f}" if name in values else "none" for name in names], fontsize=8)
    if len(names) <= MOST_NAMED:
        axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="IoU", ylim=(0, 1.05))
    axes.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, 1.15))
    return _svg(figure, "IoU of each class on each part")


@mpl.rc_context(STYLE)
def confusion_matrix(facts: StudyFacts, confusion: np.ndarray) -> str:
    """Draw how the pixels of each class were predicted, in percent of the class.

    Args:
        confusion: (C, C) pixels, rows truth, columns prediction.
    """
    labels = list(facts.data.present_labels)
    names = [facts.data.description.class_names[label] for label in labels]
    chosen = confusion[np.ix_(labels, labels)].astype(float)
    shares = chosen / np.maximum(confusion[labels].sum(axis=1, keepdims=True), 1)
    figure, axes = _axes()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(shares.shape if len(names) <= MOST_NAMED else (0, 0)):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{shares[row, column]:.1%}", ha="center", va="center", color=shade, fontsize=8)
    if len(names) <= MOST_NAMED:
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.spines[:].set_visible(False)
    return _svg(figure, "Predictions for the pixels of each class")


def examples(facts: StudyFacts, indices: np.ndarray, predicted: np.ndarray) -> str:
    """Draw input, truth, prediction and errors of some images, as a PNG data URI.

    Args:
        indices: (N,) indices of the images.
        predicted: (N, H, W) predicted labels.
    """
    data = facts.data
    panel = prediction_panel(data.images[indices] * data.scale, data.masks[indices], predicted, data.description)
    encoded, content = cv2.imencode(".png", panel[..., ::-1])
    assert encoded
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"


def legend(facts: StudyFacts) -> list[tuple[str, str]]:
    """Return (class name, CSS colour) of each class in the pictures."""
    colours = class_colours(facts.data.description)
    return [
        (name, "rgb({}, {}, {})".format(*colour))
        for name, colour in zip(facts.data.description.class_names, colours.tolist(), strict=True)
    ]
