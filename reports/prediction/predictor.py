"""What predicts: which trials' weights, averaged over which flips, decided how. Chosen on the validation part."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from reports.prediction.confusions import Confusions, Interval, scored_labels
from reports.prediction.decision_choice import CERTAINTY, ValidationPredictions, choose_decision, plain_decision
from trainables.data import PreparedData
from trainables.training.decision import PLAIN, Decision
from trainables.training.prediction import FLIPS, class_probabilities, predict

MOST_BYTES = 2**30
"""Of one member's validation probabilities: of a larger validation part a seeded choice of images decides."""
MOST_MEMBERS = 8
"""Draws of the greedy selection; a trial may be drawn several times, and then weighs more."""
FLIP_NAMES = {1: "none", 2: "none, horizontal", 4: "none, horizontal, vertical, both"}


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Everything between an image and its mask, but for the weights."""

    members: tuple[int, ...]
    """Numbers of the trials whose probabilities are averaged; one that stands there twice weighs twice."""
    flips: int
    """How many of FLIPS are averaged: 1, 2 or 4."""
    decision: Decision
    suppressed: int | None

    @property
    def weightiest(self) -> int:
        """The trial that counts most in the average; of equal ones the one that was chosen first."""
        return Counter(self.members).most_common(1)[0][0]

    def predict(
        self, models: Mapping[int, nn.Module], images: np.ndarray, *, scale: float, device: torch.device, bf16: bool
    ) -> Iterator[np.ndarray]:
        """Labels (B, H, W) uint8 of images (N, H, W), batch by batch; models by their trial's number."""
        weights = Counter(self.members)
        return predict(
            [models[number] for number in weights],
            images,
            scale=scale,
            device=device,
            bf16=bf16,
            suppressed=self.suppressed,
            flips=FLIPS[: self.flips],
            weights=list(weights.values()),
            decision=self.decision,
        )

    def describe(self, names: tuple[str, ...]) -> list[str]:
        """In words, for the terminal and the page."""
        weights = Counter(self.members)
        members = ", ".join(
            f"{number:04d}" + (f" ({count} of {len(self.members)})" if len(weights) > 1 else "")
            for number, count in weights.items()
        )
        lines = [f"weights of trial {members}", f"flips averaged: {FLIP_NAMES[self.flips]}"]
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
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        temporary.replace(path)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A predictor, and what the validation part said of it and of what it was compared with."""

    predictor: Predictor
    validation: Confusions
    """Of the predictor; what was fitted is cross-fitted."""
    single: Confusions
    """Of the best trial's weights alone, without flips, plainly decided."""
    gains: dict[str, Interval]
    """By step: flips, members, decision. Paired, at the level of CERTAINTY; also of what was not taken."""
    taken: tuple[str, ...]


def choose_predictor(
    data: PreparedData,
    models: Mapping[int, nn.Module],
    *,
    flips: int,
    suppressed: int | None,
    device: torch.device,
    bf16: bool,
    calibrate: bool = True,
) -> Choice:
    """Take, one after the other, what helps on the validation part by more than its noise.

    Flips are the rule and are left out where they harm by more than the noise; members and the kind of decision are
    taken where the lower end of their paired gain is above 0.

    Args:
        data: the study's.
        models: in evaluation mode, by the number of their trial, the best trial first.
        flips: how many of FLIPS suit the images: 2, or 4 where upside-down images were trained on.
        suppressed: a label that is never predicted.
        device, bf16: where and how to compute.
        calibrate: whether a decision may be fitted.
    """
    indices = _images(data)
    best, gains, taken = next(iter(models)), {}, []

    def found(number: int, count: int) -> ValidationPredictions:
        blocks = class_probabilities(
            [models[number]],
            data.images[indices],
            scale=data.scale,
            device=device,
            bf16=bf16,
            suppressed=suppressed,
            flips=FLIPS[:count],
        )
        return ValidationPredictions(
            probabilities=torch.cat([block.half().cpu() for block in blocks]),
            masks=data.masks[indices],
            rare=data.holds(indices, data.rarest_label),
            names=tuple(data.description.class_names),
            scored=scored_labels(data, suppressed),
            ignored=data.description.ignored_label,
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
        predictor=Predictor(members=members, flips=flips, decision=decided.decision, suppressed=suppressed),
        validation=decided.validation,
        single=single,
        gains=gains,
        taken=tuple(taken),
    )


def greedy_members(found: Mapping[int, ValidationPredictions]) -> tuple[tuple[int, ...], ValidationPredictions]:
    """Members drawn one after the other, each the one that with those before it scores best (Caruana et al. 2004).

    "Ensemble selection from libraries of models", section 2.1, with replacement, up to the draw after which the mean
    IoU was highest.

    Returns: the members, and their mean probabilities.
    """
    total: torch.Tensor | None = None
    drawn: list[int] = []
    best: tuple[float, tuple[int, ...], ValidationPredictions] | None = None
    for _ in range(MOST_MEMBERS):
        candidates = []
        for number, own in found.items():
            added = own.probabilities.float() if total is None else total + own.probabilities
            mixed = dataclasses.replace(own, probabilities=(added / (len(drawn) + 1)).half())
            candidates.append((mixed.decided(PLAIN).mean_iou(), number, mixed, added))
        score, number, mixed, total = max(candidates, key=lambda candidate: candidate[0])
        drawn.append(number)
        if best is None or score > best[0]:
            best = (score, tuple(drawn), mixed)
    assert best is not None
    return best[1], best[2]


def _images(data: PreparedData) -> np.ndarray:
    """Indices of the validation images that decide: all, or as many as fit into memory."""
    indices = data.split["val"]
    image = 2 * data.description.num_classes * data.images[0].size
    most = max(1, MOST_BYTES // image)
    if len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng(0).choice(indices, most, replace=False))
