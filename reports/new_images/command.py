"""Predicts new images, and scores them if their true masks are given.

It is imported only once the command line is parsed, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from reports.bundle.load import load_model
from reports.bundle.model import Model
from reports.new_images.results import Results
from reports.new_images.scoring import SCORES, TrueMasks, confusions_of, score_tables, scored, write_scores
from reports.new_images.sources import NewImage, find_images
from reports.progress import tracked
from search.folders.places import Place, check_writable, errors_explained
from search.views.safe_console import Terminal
from trainables.data.batches import prefetch
from trainables.errors import listed


def run(options: argparse.Namespace) -> None:
    """Predict the images of the options that have no results yet, and write what the options ask for.

    Raises:
        ValueError: for mistakes that the user can correct, for images that cannot be read (once all others are
            predicted), and for errors of files.
    """
    with errors_explained(Place(options.output, "give another folder with -o")):
        _run(options)


def _run(options: argparse.Namespace) -> None:
    console = Terminal()
    model = load_model(options.model, options.device)
    found = find_images(options.inputs, key=options.images, output=options.output)
    truth = None if options.masks is None else TrueMasks(options.masks, found.images)
    results = Results(
        options.output, model.contents, found.images, overlays=options.overlays, probabilities=options.probabilities
    )
    check_writable(options.output)
    missing = results.missing()
    console.print(_announcement(model, len(found.images), len(missing)), soft_wrap=True)
    if found.masks:
        console.print(f"files left out because they are in folders of masks: {found.masks:,}", soft_wrap=True)
    unreadable = _predict(console, model, results, missing)
    for folder in results.folders:
        console.print(f"{'wrote' if missing else 'complete:'} {folder}", soft_wrap=True)
    if unreadable:
        raise ValueError(
            f"{len(unreadable)} of {len(found.images)} images could not be predicted: "
            f"{listed(unreadable, separator='; ')}"
        )
    if options.submission:
        console.print(f"wrote {results.write_submission()}", soft_wrap=True)
    if truth is not None:
        _score(console, results, truth, options.output / SCORES)


def _announcement(model: Model, images: int, missing: int) -> str:
    there = images - missing
    already = f"; masks of this model that exist already: {there:,}" if there else ""
    members = model.contents.members
    trials = f"trial{'s' * (len(members) > 1)} {listed([f'{member.trial:04d}' for member in members])}"
    return f"predicting {missing:,} of {images:,} images with the weights of {trials} on {model.device}{already}"


def _predict(console: Terminal, model: Model, results: Results, missing: list[int]) -> list[str]:
    """Predict images, and read the next ones meanwhile; returns why some of them could not be predicted."""
    waiting: deque[tuple[int, np.ndarray]] = deque()
    unreadable: list[str] = []

    def read(place: int) -> tuple[int, np.ndarray | ValueError]:
        image: NewImage = results.images[place]
        try:
            return place, model.stored(image.read(), image.where)
        except (ValueError, OSError) as error:
            return place, error if isinstance(error, ValueError) else ValueError(f"{image.where}: {error}")

    def readable() -> Iterator[np.ndarray]:
        for place, stored in prefetch(read, missing):
            if isinstance(stored, ValueError):
                unreadable.append(str(stored))
                continue
            waiting.append((place, stored))
            yield stored

    def predicted() -> Iterator[tuple[int, np.ndarray, np.ndarray, torch.Tensor]]:
        for labels, probabilities in model.each(readable()):
            yield (*waiting.popleft(), labels, probabilities)

    for place, stored, labels, probabilities in tracked(console, predicted(), len(missing), "predicting"):
        results.write(place, stored, labels, probabilities)
    return unreadable


def _score(console: Terminal, results: Results, truth: TrueMasks, path: Path) -> None:
    places = range(len(results.images))
    counts = [scored(results, place, truth) for place in tracked(console, places, len(places), "scoring")]
    found = confusions_of(results.contents, counts)
    write_scores(path, results.contents, found)
    for table in score_tables(found):
        console.print(table)
    console.print(f"{found.metric.title} {found.interval()} on {len(counts):,} images; wrote {path}", soft_wrap=True)
