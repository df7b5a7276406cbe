"""Pictures of predictions: input, ground truth, prediction and errors side by side."""

from __future__ import annotations

import numpy as np

from trainables.data import DataDescription, PreparedData

GAP = 2
_COLOURS = np.array(
    # The palette of Okabe and Ito, which colour-blind readers can distinguish; the ignored label is dark grey.
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (0, 114, 178), (204, 121, 167), (240, 228, 66)],
    dtype=np.uint8,
)
_UNLABELLED = np.array((60, 60, 60), dtype=np.uint8)
_ERROR = np.array((220, 30, 30), dtype=np.uint8)


def class_colours(description: DataDescription) -> np.ndarray:
    """Return the colour of each class: (num_classes, 3) uint8 RGB."""
    colours = np.resize(_COLOURS, (description.num_classes, 3))
    if description.ignored_label is not None:
        scored = list(description.scored_labels)
        colours[scored] = np.resize(_COLOURS, (len(scored), 3))
        colours[description.ignored_label] = _UNLABELLED
    return colours


def prediction_panel(
    images: np.ndarray, truth: np.ndarray, prediction: np.ndarray, description: DataDescription
) -> np.ndarray:
    """Draw one row per image: input, ground truth, prediction, errors (red; unlabelled pixels dark).

    Args:
        images: (N, H, W) floats in [0, 1].
        truth: (N, H, W) labels.
        prediction: (N, H, W) labels.

    Returns:
        (N * (H + GAP) - GAP, 4 * (W + GAP) - GAP, 3) uint8 RGB.
    """
    colours = class_colours(description)
    grey = np.repeat((images * 255).astype(np.uint8)[..., None], 3, axis=-1)
    labelled = (
        truth != description.ignored_label if description.ignored_label is not None else np.ones_like(truth, bool)
    )
    errors = grey // 2
    errors[labelled & (prediction != truth)] = _ERROR
    errors[~labelled] = _UNLABELLED
    columns = [grey, colours[truth], colours[prediction], errors]
    count, height, width = images.shape
    panel = np.full((count * (height + GAP) - GAP, 4 * (width + GAP) - GAP, 3), 255, np.uint8)
    for column, pictures in enumerate(columns):
        for row, picture in enumerate(pictures):
            top, left = row * (height + GAP), column * (width + GAP)
            panel[top : top + height, left : left + width] = picture
    return panel


def telling_images(data: PreparedData, part: str, count: int = 6) -> np.ndarray:
    """Return indices of images of a part that show the classes best.

    For each class, rarest first, the images with the most pixels of the class are chosen.
    """
    indices = data.split[part]
    masks = np.asarray(data.masks[indices])
    pixels = np.stack([(masks == label).sum(axis=(1, 2)) for label in data.present_labels], axis=1)
    chosen: list[int] = []
    for column in np.argsort(pixels.sum(axis=0)):
        ranked = [
            int(row) for row in np.argsort(-pixels[:, column], kind="stable")[: count // 2] if pixels[row, column]
        ]
        chosen += [row for row in ranked if row not in chosen][: max(1, count // len(data.present_labels))]
    return indices[np.array(chosen[:count], dtype=np.int64)]
