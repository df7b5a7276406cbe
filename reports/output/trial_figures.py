"""Figures of a study's trials. What they draw stays bounded, however many trials and epochs the study has."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from reports.inputs import StudyFacts
from reports.output.figure_style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, STYLE, VERMILION, axes_of, svg
from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord

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
ABOVE: Any = {"frameon": False, "loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
"""Place of a legend, where it hides no data."""
MOST_CURVES = 300
"""Most trials, besides the best, whose learning curves are drawn."""
MOST_SHAPES = 400
"""Most points of a figure that are drawn as shapes. More are drawn as pixels: a page of shapes would be slow and
large."""


def _curve(record: TrialRecord) -> list[tuple[int, float]]:
    """Return the scored epochs and their scores."""
    return [(r.epoch, r.score) for r in record.reports if r.score is not None and not r.diverged]


@mpl.rc_context(STYLE)
def score_over_trials(facts: StudyFacts) -> str:
    """Draw every trial's score by number, and the best score so far."""
    figure, axes = axes_of()
    scored = [(record.number, record.score, record.shown_state) for record in facts.records if record.score is not None]
    pixels = len(scored) > MOST_SHAPES
    states = dict.fromkeys([*STATE_COLOURS, *(state for _, _, state in scored)])
    for state in states:
        points = [(number, score) for number, score, found in scored if found == state]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                "o",
                color=STATE_COLOURS.get(state, GREY),
                label=f"{state} ({len(points)})",
                markersize=3 if pixels else 5,
                alpha=0.8,
                rasterized=pixels,
            )
    steps = _improvements([(number, score) for number, score, _ in scored])
    axes.step(*zip(*steps, strict=True), where="post", color=INK, linewidth=1, zorder=1, label="best so far")
    axes.set(xlabel="trial", ylabel=f"best {facts.metric.title} (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(**ABOVE)
    return svg(figure, f"Best {facts.metric.title} of each trial on the validation part, by trial number")


def _improvements(scores: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the trials that were better than all before them, with their scores, and the best score at the end."""
    found: list[tuple[int, float]] = []
    for number, score in scores:
        if not found or score > found[-1][1]:
            found.append((number, score))
    return [*found, (scores[-1][0], found[-1][1])]


def drawn_curves(facts: StudyFacts) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Return the best trials, whose curves have colours, and the others whose curves are drawn in grey.

    If there are more than MOST_CURVES others, every second, third, ... of them by rank is drawn.
    """
    order = ranked(facts.records)
    best, others = order[: len(CURVE_COLOURS)], order[len(CURVE_COLOURS) :]
    return best, others[:: max(1, -(-len(others) // MOST_CURVES))]


@mpl.rc_context(STYLE)
def learning_curves(facts: StudyFacts) -> str:
    """Draw the score by epoch, of the best trials in colour and of others in grey. A dot marks the end of a grey
    curve, and the best epoch of a coloured one."""
    figure, axes = axes_of()
    title = facts.metric.title
    best, others = drawn_curves(facts)
    curves = [_curve(record) for record in others]
    pixels = sum(map(len, curves)) > MOST_SHAPES
    axes.add_collection(LineCollection(curves, colors=GREY, alpha=0.6, linewidths=0.8, rasterized=pixels))
    if ends := [curve[-1] for curve in curves]:
        axes.plot(*zip(*ends, strict=True), ".", color=GREY, alpha=0.6, markersize=3, rasterized=pixels)
    for record, colour in reversed(list(zip(best, CURVE_COLOURS, strict=False))):
        assert record.best is not None
        curve = _curve(record)
        at = [epoch for epoch, _ in curve].index(record.best.epoch)
        label = f"trial {record.number:04d}"
        axes.plot(*zip(*curve, strict=True), color=colour, linewidth=1.6, marker="o", markevery=[at], label=label)
    axes.autoscale_view()
    axes.set(xlabel="epoch", ylabel=f"{title} (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(**ABOVE, reverse=True)
    return svg(figure, f"{title[:1].upper()}{title[1:]} on the validation part by epoch, the best trials in colour")


def curves_caption(facts: StudyFacts) -> str:
    """Describe which learning curves are drawn."""
    best, others = drawn_curves(facts)
    left = sum(record.score is not None for record in facts.records) - len(best) - len(others)
    if not left:
        return "The best trials are in colour, with a dot at their best epoch; all others are grey."
    return (
        f"The best trials are in colour, with a dot at their best epoch. Of the {len(others) + left:,} others, "
        f"{len(others)} are drawn in grey, evenly chosen by rank."
    )
