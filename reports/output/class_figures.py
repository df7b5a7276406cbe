"""Figures of the classes. They grow with the number of classes, and draw no more than can be read."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from reports.inputs import StudyFacts
from reports.output.figure_style import BLUE, SKY, STYLE, svg
from search.foreign_text import distinct_names
from search.views.pictures.prediction_panels import class_colours, needs_numbers, prediction_panel
from trainables.data.sizes.images import Chosen

MOST_LETTERS = 24
"""Most letters of a class name in a figure; the tables of the page have the whole name."""
MOST_IN_A_COLUMN = 64
"""Most classes whose bars are below each other; more take several columns."""
MOST_WITH_NUMBERS = 12
"""Most classes for which each cell of the confusion matrix has its number."""
MOST_IN_THE_MATRIX = 40
"""Most classes of the confusion matrix."""
ROW, LETTER, MARGIN, COLUMN, HEAD = 0.17, 0.08, 0.8, 5.0, 0.5
"""Inches of a line of text, of a letter in it, of a figure's borders, of a column of bars, and of the legend above."""


def figure_names(facts: StudyFacts) -> dict[int, str]:
    """Return the name in figures of each class that the data holds, by label."""
    described = facts.data.description
    names = distinct_names(described.class_names, MOST_LETTERS)
    return {label: names[described.class_names[label]] for label in facts.data.present_labels}


@mpl.rc_context(STYLE)
def class_bars(facts: StudyFacts, by_part: dict[str, dict[str, float]]) -> str:
    """Draw the IoU of each class on each part: {"validation": {"soil": 0.8, ...}, ...}."""
    shown, names = figure_names(facts), facts.data.description.class_names
    labels = np.array_split(list(shown), -(-len(shown) // MOST_IN_A_COLUMN))
    rows = len(labels[0])
    each = ROW * (0.6 + 0.8 * len(by_part))
    size = (COLUMN * len(labels), MARGIN + HEAD + each * max(4, rows))
    figure = Figure(figsize=size, layout="constrained")
    height = 0.8 / len(by_part)
    for axes, column in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        for position, (part, values) in enumerate(by_part.items()):
            lengths = [values.get(names[label], 0.0) for label in column]
            places = np.arange(len(column)) + (position - (len(by_part) - 1) / 2) * height
            bars = axes.barh(places, lengths, height * 0.95, label=part, color=(SKY, BLUE)[position % 2])
            texts = [f"{values[names[label]]:.2f}" if names[label] in values else "none" for label in column]
            axes.bar_label(bars, texts, fontsize=7, padding=2)
        axes.set_yticks(range(len(column)), [shown[label] for label in column])
        axes.set(xlabel="IoU", xlim=(0, 1.1), ylim=(max(4, rows) - 0.5 if len(labels) > 1 else len(column) - 0.5, -0.5))
    handles, parts = axes.get_legend_handles_labels()
    figure.legend(handles, parts, loc="outside upper right", ncols=len(by_part), frameon=False)
    return svg(figure, "IoU of each class on each part")


def matrix_labels(facts: StudyFacts, confusion: np.ndarray) -> list[int]:
    """Return the labels of the classes in the confusion matrix: of many, those that are confused most, by pixels."""
    labels = list(facts.data.present_labels)
    if len(labels) <= MOST_IN_THE_MATRIX:
        return labels
    wrong = confusion.sum(0) + confusion.sum(1) - 2 * np.diagonal(confusion)
    return sorted(sorted(labels, key=lambda label: -wrong[label])[:MOST_IN_THE_MATRIX])


@mpl.rc_context(STYLE)
def confusion_matrix(facts: StudyFacts, confusion: np.ndarray) -> str:
    """Draw how the pixels of each class were predicted, in percent of the class.

    Args:
        confusion: (C, C) pixels, rows truth, columns prediction.
    """
    labels, shown = matrix_labels(facts, confusion), figure_names(facts)
    names = [shown[label] for label in labels]
    chosen = confusion[np.ix_(labels, labels)].astype(float)
    shares = chosen / np.maximum(confusion[labels].sum(axis=1, keepdims=True), 1)
    numbered = len(labels) <= MOST_WITH_NUMBERS
    longest = LETTER * max(map(len, names))
    high = max(2.6, (3 * ROW if numbered else ROW) * len(labels))
    wide = 1.2 * high
    upright = len(labels) > 6 or longest * len(labels) > 0.9 * wide
    size = (wide + MARGIN + longest, high + MARGIN + (longest if upright else 0))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(shares.shape if numbered else (0, 0)):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{shares[row, column]:.1%}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_xticks(range(len(labels)), names, rotation=90 if upright else 0)
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.spines[:].set_visible(False)
    return svg(figure, "Predictions for the pixels of each class")


def matrix_caption(facts: StudyFacts, confusion: np.ndarray) -> str:
    """Describe the confusion matrix, and which classes it leaves out."""
    shown, held = len(matrix_labels(facts, confusion)), len(facts.data.present_labels)
    some = "" if shown == held else f" Of the {held} classes, the {shown} that are confused most are shown."
    return f"Held-out test: predictions for the pixels of each true class.{some}"


def examples(facts: StudyFacts, indices: np.ndarray, predicted: Sequence[np.ndarray]) -> str:
    """Draw input, truth, prediction and errors of some images, as a PNG data URI.

    Args:
        indices: (N,) indices of the images.
        predicted: N masks (H, W) of predicted labels.
    """
    data = facts.data
    pictures = [data.pixels.pictures(image[None])[0] for image in Chosen(data.images, indices)]
    panel = prediction_panel(pictures, Chosen(data.masks, indices), predicted, data.description)
    encoded, content = cv2.imencode(".png", panel[..., ::-1])
    assert encoded
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"


def legend(facts: StudyFacts, indices: np.ndarray, predicted: Sequence[np.ndarray]) -> list[tuple[str, str]]:
    """Return (class name, CSS colour) of each class in the pictures that `examples` draws of the same images.

    Names are preceded by the number of the class if the pictures hold such numbers.
    """
    described = facts.data.description
    colours, numbered = class_colours(described), needs_numbers(described)
    masks = (*Chosen(facts.data.masks, indices), *predicted)  # none, if no test image has a labelled pixel
    labels = sorted({label for mask in masks for label in np.unique(mask).tolist()})
    return [
        (
            f"{label} {described.class_names[label]}" if numbered else described.class_names[label],
            "rgb({}, {}, {})".format(*colours[label].tolist()),
        )
        for label in labels
    ]
