"""The report's figures, as inline SVG or PNG data."""

from __future__ import annotations

import base64
import io

import cv2
import matplotlib as mpl
import numpy as np

from reports.study_facts import StudyFacts
from search.leaderboard import ranked
from search.panels import class_colours, prediction_panel

mpl.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STATE_COLOURS = {"complete": "#0072b2", "pruned": "#e69f00", "failed": "#d55e00", "running": "#999999"}
HIGHLIGHTED = 5
MAGNIFIED = 2

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"})


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _axes(width: float = 7, height: float = 3.2) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def score_over_trials(facts: StudyFacts) -> str:
    """Every trial's score by number, and the best so far."""
    figure, axes = _axes()
    scored = [record for record in facts.records if record.score is not None]
    for state, colour in STATE_COLOURS.items():
        chosen = [record for record in scored if record.state == state]
        if chosen:
            numbers, scores = [r.number for r in chosen], [r.score or 0.0 for r in chosen]
            axes.plot(numbers, scores, "o", color=colour, label=state, markersize=5, alpha=0.8)
    best = np.maximum.accumulate([record.score or 0.0 for record in scored])
    axes.step([record.number for record in scored], best, where="post", color="#333333", label="best so far")
    axes.set(xlabel="trial", ylabel="best mean IoU (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _svg(figure)


def learning_curves(facts: StudyFacts) -> str:
    """Mean IoU by epoch of all trials, the best ones in colour."""
    figure, axes = _axes()
    best = ranked(facts.records)[:HIGHLIGHTED]
    for record in facts.records:
        curve = [(r.epoch, r.mean_iou) for r in record.reports if r.mean_iou is not None and not r.diverged]
        if record not in best and curve:
            axes.plot(
                *zip(*curve, strict=True), color="#bbbbbb", linewidth=0.8, marker="." if len(curve) == 1 else None
            )
    for record in reversed(best):
        curve = [(r.epoch, r.mean_iou) for r in record.reports if r.mean_iou is not None and not r.diverged]
        axes.plot(*zip(*curve, strict=True), linewidth=1.8, marker=".", label=f"trial {record.number:04d}")
    axes.set(xlabel="epoch", ylabel="mean IoU (validation)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right", reverse=True)
    return _svg(figure)


def class_bars(facts: StudyFacts, by_part: dict[str, dict[str, float]]) -> str:
    """IoU of each class on each part: {"validation": {"soil": 0.8, ...}, ...}."""
    names = [facts.data.description.class_names[label] for label in facts.data.present_labels]
    figure, axes = _axes(height=2.6)
    width = 0.8 / len(by_part)
    for position, (part, values) in enumerate(by_part.items()):
        heights = [values.get(name, 0.0) for name in names]
        places = np.arange(len(names)) + (position - (len(by_part) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.95, label=part, color=("#56b4e9", "#0072b2")[position % 2])
        axes.bar_label(bars, [f"{values[name]:.2f}" if name in values else "none" for name in names], fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="IoU", ylim=(0, 1.05))
    axes.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, 1.15))
    return _svg(figure)


def confusion_matrix(facts: StudyFacts, confusion: np.ndarray) -> str:
    """Of what each class's pixels were taken for, in per cent of the class.

    Args:
        confusion: (C, C) pixels, rows truth, columns prediction.
    """
    labels = list(facts.data.present_labels)
    names = [facts.data.description.class_names[label] for label in labels]
    chosen = confusion[np.ix_(labels, labels)].astype(float)
    shares = chosen / np.maximum(confusion[labels].sum(axis=1, keepdims=True), 1)
    figure, axes = _axes(4.2, 3.4)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        shade = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, f"{shares[row, column]:.1%}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.spines[:].set_visible(False)
    return _svg(figure)


def examples(facts: StudyFacts, indices: np.ndarray, predicted: np.ndarray) -> str:
    """Input, truth, prediction and errors of some images, as a PNG data URI.

    Args:
        indices: (N,) of the images.
        predicted: (N, H, W) labels.
    """
    data = facts.data
    panel = prediction_panel(data.images[indices] * data.scale, data.masks[indices], predicted, data.description)
    panel = panel.repeat(MAGNIFIED, axis=0).repeat(MAGNIFIED, axis=1)
    encoded, content = cv2.imencode(".png", panel[..., ::-1])
    assert encoded
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"


def legend(facts: StudyFacts) -> list[tuple[str, str]]:
    """(class name, CSS colour) of the pictures."""
    colours = class_colours(facts.data.description)
    return [
        (name, "rgb({}, {}, {})".format(*colour))
        for name, colour in zip(facts.data.description.class_names, colours.tolist(), strict=True)
    ]
