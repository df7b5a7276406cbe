"""The model card of a bundle: `README.md`, for whoever is handed the folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reports.bundle.contents import ONNX, WEIGHTS, Contents
from trainables.errors import clean

CARD = """\
# {name}

This model segments {kind} images into {classes} classes. It was trained on images, or crops of images, of
{height}x{width} pixels (height x width). It predicts images of any size, larger ones in overlapping tiles.

    from reports import load_model

    model = load_model("THIS FOLDER")
    mask = model.predict("image.png")

    python reports/predict.py THIS-FOLDER images/ -o masks

## Scores

{score} and the IoU of each class, with 95 % bootstrap intervals over the images. {scores_of}

{scores}
{never}
## Classes

{class_table}

## Model

{predictor}

| trial | weight | weights trained on |
|---|---|---|
{members}

Whole configuration: `model.json`. Weights: `{weights}`.

{onnx}

## Data

{data}, fingerprint `{fingerprint}`; images: {images}.

Made {made} with {software}.
"""


def model_card(contents: Contents, name: str) -> str:
    """Return the card in Markdown."""
    about, described = contents.about, contents.description
    channels = contents.pixels.channels
    data = about["data"]
    return CARD.format(
        name=_plain(name),
        classes=described.num_classes,
        kind="grey" if channels == 1 else f"{channels}-channel",
        score=_plain(contents.metric.title[:1].upper() + contents.metric.title[1:]),
        height=contents.tile[0],
        width=contents.tile[1],
        scores_of=_scores_of(about),
        scores=_score_table(about["scores"], contents.metric.title),
        never=f"\n**Warning:** {_plain(about['never_predicted'])}.\n" if about["never_predicted"] else "",
        class_table=_class_table(contents),
        predictor="\n".join(f"- {_plain(line)}" for line in about["predictor"]),
        members="\n".join(f"| {each.trial:04d} | {each.weight} | {each.trained_on} |" for each in contents.members),
        weights=WEIGHTS,
        onnx=_onnx(contents),
        data=_plain(("synthetic data set " if data["synthetic"] else "data set ") + f"{data['name']}, {data['split']}"),
        fingerprint=data["fingerprint"],
        images=", ".join(f"{count} {part}" for part, count in data["images"].items()),
        made=about["made"],
        software=", ".join(f"{package} {version}" for package, version in about["software"].items()),
    )


def _scores_of(about: Mapping[str, Any]) -> str:
    if about["retrained"] is None:
        return "The held-out test images neither trained nor chose anything."
    return (
        f"The scores are those of the search's weights: trial {about['retrained']:04d} was then trained on all "
        "labelled images, so that no image is left on which the new weights could be scored."
    )


def _score_table(scores: Mapping[str, Any], metric: str) -> str:
    parts = list(scores)
    names = list(dict.fromkeys(name for part in parts for name in scores[part]["classes"]))
    heads = [f"{part} ({scores[part]['images']} images)" for part in parts]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(parts)}"]
    lines.append(f"| **{_plain(metric)}** | {' | '.join(_interval(scores[part]['score']) for part in parts)} |")
    for name in names:
        cells = [_interval(scores[part]["classes"].get(name)) for part in parts]
        lines.append(f"| {_plain(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(numbers: list[float | None] | None) -> str:
    if numbers is None or numbers[0] is None:
        return "none"
    value, low, high = numbers
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def _class_table(contents: Contents) -> str:
    described = contents.description
    lines = ["| label | value in masks | class |", "|---|---|---|"]
    for label, (name, value) in enumerate(zip(described.class_names, described.mask_values, strict=True)):
        shown = f"#{value:06x}" if described.colour_masks else str(value)
        ignored = " (ignored: unlabelled pixels)" if label == described.ignored_label else ""
        never = ", never predicted" if label == contents.suppressed else ""
        lines.append(f"| {label} | {shown} | {_plain(name)}{ignored}{never} |")
    return "\n".join(lines)


def _onnx(contents: Contents) -> str:
    facts = contents.onnx
    if facts is None:
        return "There is no ONNX file."
    any_size = f"any multiples of {facts['multiple_of']}" if facts["multiple_of"] else "those of the training images"
    smallest = contents.decision.smallest
    labels = (
        f" Its labels contain regions of fewer than {smallest} pixels, which `model.predict` relabels."
        if smallest > 1
        else ""
    )
    return (
        f"`{ONNX}` (opset {facts['opset']}): input `pixels` (N, {contents.pixels.channels}, H, W) float32 from 0 to 1, "
        f"{_scaling(contents)}; any N; H and W are {any_size}. Outputs: `probabilities` "
        f"(N, {contents.description.num_classes}, H, W) and `labels` (N, H, W).{labels} On {facts['checked']} real "
        f"images, probabilities differ from PyTorch by at most {facts['largest_difference']:.1e} (tolerance "
        f"{facts['tolerance']:g}), labels in {facts['differing_pixels']:.4%} of the pixels."
    )


def _scaling(contents: Contents) -> str:
    if contents.pixels.dtype == "uint8":
        return "the values of the image over 255"
    return "by channel (value - low) / (high - low) with `pixels.low` and `pixels.high` of `model.json`"


def _plain(text: str) -> str:
    """Return text from outside so that Markdown shows it as it is, in one line of a table."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", clean(" ".join(text.split())))
