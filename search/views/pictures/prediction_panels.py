"""Pictures of predictions: input, ground truth, prediction and errors side by side."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from search.views.pictures.class_palette import SAFE, palette
from trainables.data import DataDescription, PreparedData

GAP = 2
READABLE = 256
"""Least width of a picture, in pixels, on which class numbers are written."""
LONGEST = 512
"""Longest side of a picture, in pixels, but for those with class numbers."""
_UNLABELLED = np.array((60, 60, 60), dtype=np.uint8)
_ERROR = np.array((220, 30, 30), dtype=np.uint8)


def class_colours(description: DataDescription) -> np.ndarray:
    """Return the colour of each class: (num_classes, 3) uint8 RGB. The ignored label is dark grey."""
    colours = np.empty((description.num_classes, 3), np.uint8)
    if description.ignored_label is not None:
        colours[description.ignored_label] = _UNLABELLED
    scored = list(description.scored_labels)
    colours[scored] = palette(len(scored))
    return colours


def needs_numbers(description: DataDescription) -> bool:
    """Return whether there are too many classes to tell them apart by their colours alone."""
    return len(description.scored_labels) > len(SAFE)


def prediction_panel(
    images: Iterable[np.ndarray],
    truth: Iterable[np.ndarray],
    prediction: Iterable[np.ndarray],
    description: DataDescription,
) -> np.ndarray:
    """Draw one row per image: input, ground truth, prediction, errors (red; unlabelled pixels dark).

    Images with a side above LONGEST pixels are shrunk to it. If the classes need numbers (`needs_numbers`), small
    images are enlarged S times, so that each region can hold the number of its class; otherwise S is 1.

    Args:
        images: N images (H, W, 3) uint8 RGB, which may have different sizes.
        truth: N masks (H, W) of labels.
        prediction: N masks (H, W) of labels.

    Returns:
        (N * (S * H + GAP) - GAP, 4 * (S * W + GAP) - GAP, 3) uint8 RGB; W is the largest width, and smaller images
        leave the rest of their row white.
    """
    rows = [_row(*each, description) for each in zip(images, truth, prediction, strict=True)]
    width = max(picture.shape[1] for row in rows for picture in row)
    height = sum(row[0].shape[0] + GAP for row in rows) - GAP
    panel = np.full((height, 4 * (width + GAP) - GAP, 3), 255, np.uint8)
    top = 0
    for row in rows:
        for column, picture in enumerate(row):
            left = column * (width + GAP)
            panel[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        top += row[0].shape[0] + GAP
    return panel


def _row(
    image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, description: DataDescription
) -> list[np.ndarray]:
    """Return the pictures of an image: input, ground truth, prediction and errors, (S * H, S * W, 3) uint8 RGB each."""
    image, truth, prediction = (
        _shrunk(image, cv2.INTER_AREA),
        *(_shrunk(labels, cv2.INTER_NEAREST) for labels in (truth, prediction)),
    )
    colours, ignored = class_colours(description), description.ignored_label
    labelled = truth != ignored if ignored is not None else np.ones_like(truth, bool)
    errors = image // 2
    errors[labelled & (prediction != truth)] = _ERROR
    errors[~labelled] = _UNLABELLED
    pictures = [image, colours[truth], colours[prediction], errors]
    if needs_numbers(description):
        times = max(1, -(-READABLE // image.shape[1]))
        pictures = [each.repeat(times, axis=0).repeat(times, axis=1) for each in pictures]
        for picture, labels in zip(pictures[1:3], (truth, prediction), strict=True):
            _write_numbers(picture, labels, times)
    return pictures


def _shrunk(image: np.ndarray, interpolation: int) -> np.ndarray:
    """Return an image (H, W[, C]) whose sides have at most LONGEST pixels."""
    factor = LONGEST / max(image.shape[:2])
    if factor >= 1:
        return image
    height, width = (max(1, round(factor * length)) for length in image.shape[:2])
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=interpolation)


def _write_numbers(picture: np.ndarray, mask: np.ndarray, times: int) -> None:
    """Write the number of its class on each region, at its widest place, if there is room for it.

    Args:
        picture: (S * H, S * W, 3) uint8 RGB, which is changed.
        mask: (H, W) labels.
        times: S, how many times the picture is larger than the mask.
    """
    font, size = cv2.FONT_HERSHEY_PLAIN, 0.8
    for label in np.unique(mask).tolist():
        (wide, high), _ = cv2.getTextSize(str(label), font, size, 1)
        held = np.pad((mask == label).astype(np.uint8), 1)  # a region also ends at the border of the picture
        room = cv2.distanceTransform(held, cv2.DIST_L2, 5)[1:-1, 1:-1] * times
        _, regions = cv2.connectedComponents(held)
        regions = regions[1:-1, 1:-1]
        for region in np.unique(regions[room >= high / 2]):
            row, column = divmod(int(np.where(regions == region, room, 0).argmax()), mask.shape[1])
            place = (times * column + (times - wide) // 2, times * row + (times + high) // 2)
            ink = (255, 255, 255) if picture[times * row, times * column].mean() < 100 else (0, 0, 0)
            cv2.putText(picture, str(label), place, font, size, ink, 1, cv2.LINE_AA)


def telling_images(data: PreparedData, part: str, count: int = 6) -> np.ndarray:
    """Return indices of images of a part that show the classes best.

    For each class, rarest first, the images with the most pixels of the class are chosen.
    """
    indices = data.split[part]
    pixels = data.class_pixels(indices)[:, list(data.present_labels)]
    chosen: list[int] = []
    for column in np.argsort(pixels.sum(axis=0)):
        ranked = [
            int(row) for row in np.argsort(-pixels[:, column], kind="stable")[: count // 2] if pixels[row, column]
        ]
        chosen += [row for row in ranked if row not in chosen][: max(1, count // len(data.present_labels))]
    return indices[np.array(chosen[:count], dtype=np.int64)]
