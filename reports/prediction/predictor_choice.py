"""The predictor: whose weights, averaged over which flips, with which decision. Chosen on the validation part."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from reports.prediction.decision_choice import CERTAINTY, ValidationPredictions, choose_decision, plain_decision
from reports.prediction.scores_with_intervals import Confusions, Interval, scored_labels
from trainables.atomic_write import atomic_write
from trainables.data import PreparedData
from trainables.data.sizes.images import Chosen, sample_within
from trainables.prediction.decision import PLAIN, Decision
from trainables.prediction.metric import Metric
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.prediction.tiling import Tiling

MOST_BYTES = 2**30
"""Largest size of one member's validation probabilities. Of a larger validation part, a seeded sample is used."""
MOST_MEMBERS = 8
"""Number of draws of the greedy selection. A trial may be drawn several times, and then weighs more."""
FLIP_NAMES = {1: "none", 2: "none, horizontal", 4: "none, horizontal, vertical, both"}


@dataclass(frozen=True, kw_only=True)
class PredictorSettings:
    """All that turns an image into its mask, except the models."""

    members: tuple[int, ...]
    """Numbers of the trials whose probabilities are averaged. A number that occurs twice weighs twice as much."""
    flips: int
    """How many of FLIPS are averaged: 1, 2 or 4."""
    decision: Decision
    suppressed: int | None

    @property
    def weightiest(self) -> int:
        """Number of the trial with the largest weight in the average; of equal ones, the one chosen first."""
        return Counter(self.members).most_common(1)[0][0]

    def with_models(
        self, models: Mapping[int, nn.Module], data: PreparedData, device: torch.device, *, bf16: bool
    ) -> Predictor:
        """Return the predictor with these models, which are keyed by the number of their trial."""
        weights = Counter(self.members)
        return Predictor(
            models=[models[number] for number in weights],
            pixels=data.pixels,
            device=device,
            bf16=bf16,
            suppressed=self.suppressed,
            flips=FLIPS[: self.flips],
            weights=list(weights.values()),
            decision=self.decision,
            tiling=Tiling(height=data.crop[0], width=data.crop[1]),
        )

    def describe(self, names: tuple[str, ...]) -> list[str]:
        """Describe the predictor in words, for the terminal and the page."""
        weights = Counter(self.members)
        members = ", ".join(
            f"{number:04d}" + (f" ({count} of {len(self.members)})" if len(weights) > 1 else "")
            for number, count in weights.items()
        )
        lines = [f"weights of trial{'s' * (len(weights) > 1)} {members}", f"flips averaged: {FLIP_NAMES[self.flips]}"]
        if any(self.decision.offsets):
            offsets = zip(names, self.decision.offsets, strict=True)
            moved = ", ".join(f"{name} {offset:+.1f}" for name, offset in offsets if offset)
            lines.append(f"log-odds offsets: {moved}")
        if self.decision.prior:
            lines.append(f"the image's own class shares as a prior, to the power {self.decision.prior:g}")
        if self.decision.smallest > 1:
            lines.append(f"regions below {self.decision.smallest} pixels get the next best label")
        return lines

    def write(self, path: Path) -> None:
        with atomic_write(path) as new:
            new.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A predictor, with its validation scores and those of its alternatives."""

    predictor: PredictorSettings
    validation: Confusions
    """Confusions of the predictor; a fitted decision is cross-fitted."""
    single: Confusions
    """Confusions of the best trial's weights alone, without flips, with the plain decision."""
    gains: dict[str, Interval]
    """Paired gain of each step that was tried (flips, members, decision), with its interval at the level CERTAINTY.

    Flips and members are also here if they were not taken.
    """
    taken: tuple[str, ...]


def choose_predictor(
    data: PreparedData,
    models: Mapping[int, nn.Module],
    *,
    flips: int,
    suppressed: int | None,
    device: torch.device,
    bf16: bool,
    metric: Metric,
    calibrate: bool = True,
) -> Choice:
    """Choose flips, members and decision one after the other, by their gains on the validation part.

    Flips are averaged unless they harm by more than the noise: the whole interval of their gain is then at or below 0.
    Members and a decision are taken only if the lower end of the interval of their paired gain is above 0.

    Args:
        data: data of the study.
        models: models in evaluation mode, keyed by the number of their trial, the best trial first.
        flips: number of FLIPS that suit the images: 2, or 4 if the training saw images upside down.
        suppressed: a label that is never predicted.
        device, bf16: device and precision of the computation.
        metric: the score.
        calibrate: whether a decision may be fitted.
    """
    indices = _images(data)
    best, gains, taken = next(iter(models)), {}, []

    def found(number: int, count: int) -> ValidationPredictions:
        alone = PredictorSettings(members=(number,), flips=count, decision=PLAIN, suppressed=suppressed)
        predictor = alone.with_models(models, data, device, bf16=bf16)
        blocks = predictor.probabilities(Chosen(data.images, indices))
        return ValidationPredictions(
            probabilities=[image for block in blocks for image in block.half().cpu()],
            masks=data.masks[indices],
            rare=data.holds(indices, data.rarest_label),
            names=tuple(data.description.class_names),
            scored=scored_labels(data, suppressed),
            ignored=data.description.ignored_label,
            metric=metric,
        )

    plain, flipped = found(best, 1), found(best, flips)
    single, current = plain.decided(PLAIN), flipped.decided(PLAIN)
    gains["flips"] = current.gain_over(single, CERTAINTY)
    if gains["flips"].high > 0:
        taken.append("flips")
    else:
        flips, flipped, current = 1, plain, single
    members: tuple[int, ...] = (best,)
    if len(models) > 1:
        each = {number: flipped if number == best else found(number, flips) for number in models}
        drawn, mixed = greedy_members(each)
        together = mixed.decided(PLAIN)
        gains["members"] = together.gain_over(current, CERTAINTY)
        if len(set(drawn)) > 1 and gains["members"].low > 0:
            taken.append("members")
            members, flipped, current = drawn, mixed, together
    decided = choose_decision(flipped) if calibrate else plain_decision(flipped)
    if decided.gain is not None:
        gains["decision"] = decided.gain
        taken.append("decision")
    return Choice(
        predictor=PredictorSettings(members=members, flips=flips, decision=decided.decision, suppressed=suppressed),
        validation=decided.validation,
        single=single,
        gains=gains,
        taken=tuple(taken),
    )


def greedy_members(found: Mapping[int, ValidationPredictions]) -> tuple[tuple[int, ...], ValidationPredictions]:
    """Draw members one after the other: each is the one that scores best together with those before it.

    Source: Caruana et al., "Ensemble selection from libraries of models", 2004, section 2.1, with replacement. Only the
    draws up to the highest score are kept.

    Returns: the members, and their mean probabilities.
    """
    total: list[torch.Tensor] | None = None
    drawn: list[int] = []
    best: tuple[float, tuple[int, ...], ValidationPredictions] | None = None
    for _ in range(MOST_MEMBERS):
        candidates = []
        for number, own in found.items():
            added = [image.float() for image in own.probabilities]
            if total is not None:
                added = [before + image for before, image in zip(total, added, strict=True)]
            mixed = dataclasses.replace(own, probabilities=[(image / (len(drawn) + 1)).half() for image in added])
            candidates.append((mixed.decided(PLAIN).score(), number, mixed, added))
        score, number, mixed, total = max(candidates, key=lambda candidate: candidate[0])
        drawn.append(number)
        if best is None or score > best[0]:
            best = (score, tuple(drawn), mixed)
    assert best is not None
    return best[1], best[2]


def _images(data: PreparedData) -> np.ndarray:
    """Return indices of the validation images to choose on: all, or a seeded sample of at most MOST_BYTES."""
    indices = data.split["val"]
    return sample_within(indices, 2 * data.description.num_classes * data.sizes[indices].prod(axis=1), MOST_BYTES)
