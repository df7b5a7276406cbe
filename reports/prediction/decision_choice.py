"""Fits how labels follow from probabilities on the validation part, and keeps what helps by more than its noise.

A fitted `Decision` scores too well on the images that it was fitted on. Each kind of decision is therefore
cross-fitted: fitted on four fifths of the validation images and scored on the last fifth, five times. It may be taken
if the interval of its paired gain over the plain decision lies above 0. The kind that is taken is then fitted once
more, on all validation images.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from reports.prediction.scores_with_intervals import Confusions, Interval, confusion
from trainables.data.sizes.images import Images
from trainables.prediction.decision import LEAST, PLAIN, Decision
from trainables.prediction.iou import Tallies
from trainables.prediction.metric import Metric

BLOCK = 64
"""Most images of one size whose labels are decided at once."""
FOLDS = 5
FEWEST = 20
"""Fewest validation images on which a decision is fitted."""
CERTAINTY = 0.8
"""Level of the interval whose lower end must be above 0: one in ten decisions without a gain is taken by chance."""
OFFSETS = np.round(np.arange(-2.0, 2.05, 0.1), 1)
PRIORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
AREAS = (0, 1 / 1024, 1 / 512, 1 / 256, 1 / 128)
"""Candidates for the smallest region, as parts of the area of an image of median size."""
ROUNDS = 3
"""Rounds of coordinate ascent over the classes' offsets."""
MOST_FITTED = 16
"""Most classes whose offsets are fitted, the rarest ones: with 256, fitting would take hours."""
MOST_VALUES = 1_500_000
"""Largest number of pixels times classes that offsets and prior are fitted on. Of larger validation parts, only every
second, third, ... row and column is used."""


@dataclass(frozen=True, kw_only=True)
class ValidationPredictions:
    """Class probabilities of labelled images."""

    probabilities: Sequence[torch.Tensor]
    """V images (C, H, W), fp16 or fp32 on the CPU; 0 for a suppressed class."""
    masks: Images
    """V masks (H, W) of uint8 labels."""
    rare: np.ndarray
    """(V,) bool: which images hold the rarest class."""
    names: tuple[str, ...]
    scored: tuple[int, ...]
    ignored: int | None
    metric: Metric
    """The score."""

    @property
    def classes(self) -> int:
        return len(self.probabilities[0])

    def decided(self, decision: Decision) -> Confusions:
        return self.confusions([decision.labels(block.float()).numpy() for block in self._blocks()])

    def _blocks(self) -> Iterator[torch.Tensor]:
        """Yield the probabilities of up to BLOCK consecutive images of one size: (B, C, H, W)."""
        block: list[torch.Tensor] = []
        for image in self.probabilities:
            if block and (len(block) == BLOCK or image.shape != block[0].shape):
                yield torch.stack(block)
                block = []
            block.append(image)
        if block:
            yield torch.stack(block)

    def confusions(self, labels: list[np.ndarray]) -> Confusions:
        """Compare predicted labels, in blocks (B, H, W), with the masks."""
        classes = self.classes
        pairs = zip(self.masks, itertools.chain.from_iterable(labels), strict=True)
        counts = np.stack([confusion(mask, found, classes) for mask, found in pairs])
        if self.ignored is not None:
            counts[:, self.ignored] = 0
        return self.confused(counts)

    def confused(self, counts: np.ndarray) -> Confusions:
        """Return confusions with these counts (V, C, C)."""
        return Confusions(counts=counts, names=self.names, scored=self.scored, ignored=self.ignored, metric=self.metric)

    def scores(self, counts: np.ndarray | Tallies) -> np.ndarray:
        """Return the score of each of these confusion matrices (..., C, C), or of their tallies."""
        return self.metric.score(counts, self.names, self.ignored)

    def some(self, chosen: np.ndarray) -> ValidationPredictions:
        return dataclasses.replace(
            self,
            probabilities=[self.probabilities[index] for index in chosen],
            masks=self.masks[chosen],
            rare=self.rare[chosen],
        )


def with_prior(pixels: Pixels) -> Decision:
    """Fit the prior alone."""
    return Decision(prior=max(PRIORS, key=pixels.score))


def with_offsets(pixels: Pixels) -> Decision:
    """Fit the classes' offsets alone."""
    return pixels.fit((0.0,))


def with_offsets_and_prior(pixels: Pixels) -> Decision:
    return pixels.fit(PRIORS)


def with_all(pixels: Pixels) -> Decision:
    """Fit offsets and prior, then the smallest region."""
    fitted, found = pixels.fit(PRIORS), pixels.found
    area = float(np.median([mask.size for mask in found.masks]))
    tried = [dataclasses.replace(fitted, smallest=round(part * area)) for part in AREAS]
    return max(tried, key=lambda decision: found.decided(decision).score())


Fit = Callable[["Pixels"], Decision]
FITS: dict[str, Fit] = {
    "prior": with_prior,
    "offsets": with_offsets,
    "offsets and prior": with_offsets_and_prior,
    "offsets, prior and smallest region": with_all,
}
"""Kinds of decisions, the simpler ones first."""


@dataclass(frozen=True, kw_only=True)
class ChosenDecision:
    decision: Decision
    kind: str
    """A key of FITS, or "plain"."""
    gain: Interval | None
    """Cross-fitted gain over the plain decision; None for the plain decision itself."""
    validation: Confusions
    """Cross-fitted: each image is decided by a fit on other images."""


def plain_decision(found: ValidationPredictions) -> ChosenDecision:
    """Return the plain decision: the most probable class."""
    return ChosenDecision(decision=PLAIN, kind="plain", gain=None, validation=found.decided(PLAIN))


def choose_decision(found: ValidationPredictions) -> ChosenDecision:
    """Return the kind of decision with the highest lower end of the cross-fitted gain, fitted on all images.

    It is the plain decision if there are too few images or classes, or if no gain has a lower end above 0.
    """
    best = plain_decision(found)
    plain = best.validation
    if len(found.masks) < FEWEST or len(found.scored) < 2:
        return best
    least = 0.0
    for kind, crossed in cross_fitted(found).items():
        gain = crossed.gain_over(plain, CERTAINTY)
        if gain.low > least:
            least = gain.low
            best = ChosenDecision(decision=PLAIN, kind=kind, gain=gain, validation=crossed)
    return best if best.kind == "plain" else dataclasses.replace(best, decision=FITS[best.kind](Pixels(found)))


def cross_fitted(found: ValidationPredictions) -> dict[str, Confusions]:
    """Return the confusions of each kind of decision on images that it was not fitted on."""
    folds = folds_of(found.rare)
    classes = found.classes
    counts = {kind: np.zeros((len(folds), classes, classes), np.int64) for kind in FITS}
    for fold in range(FOLDS):
        pixels, own = Pixels(found.some(np.flatnonzero(folds != fold))), np.flatnonzero(folds == fold)
        for kind, fit in FITS.items():
            counts[kind][own] = found.some(own).decided(fit(pixels)).counts
    return {kind: found.confused(each) for kind, each in counts.items()}


def folds_of(rare: np.ndarray) -> np.ndarray:
    """Return the fold of each image (V,). Folds have equally many images, also of those with the rarest class."""
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(np.flatnonzero(rare)), rng.permutation(np.flatnonzero(~rare))])
    folds = np.empty(len(rare), np.int64)
    folds[order] = np.arange(len(rare)) % FOLDS
    return folds


class Pixels:
    """Labelled pixels, and the offsets that score best on them."""

    def __init__(self, found: ValidationPredictions):
        self.found = found
        self.classes = found.classes
        step = max(1, int(np.ceil(np.sqrt(sum(image.numel() for image in found.probabilities) / MOST_VALUES))))
        self._fitted: dict[tuple[float, ...], Decision] = {}
        truth, logs, shares, seen = [], [], [], torch.zeros(self.classes)
        for image, whole_mask in zip(found.probabilities, found.masks, strict=True):
            probabilities, mask = image.float(), whole_mask[::step, ::step]
            labelled = np.ones_like(mask, bool) if found.ignored is None else mask != found.ignored
            seen = seen.maximum(probabilities.amax((1, 2)))
            truth.append(mask[labelled].astype(np.int64))
            logs.append(probabilities[:, ::step, ::step].clamp(min=LEAST).log().movedim(0, -1).numpy()[labelled])
            share = probabilities.mean((1, 2)).clamp(min=LEAST).log().numpy()
            shares.append(np.broadcast_to(share, logs[-1].shape))
        self.suppressed = (seen == 0).numpy()
        self.truth, self.logs, self.shares = np.concatenate(truth), np.concatenate(logs), np.concatenate(shares)
        pixels = np.bincount(self.truth, minlength=self.classes)
        held = [label for label in found.scored if pixels[label] or label == found.ignored]
        rarest = sorted(held, key=lambda label: int(pixels[label]))[:MOST_FITTED]
        self.fitted = tuple(label for label in held if label in rarest)
        """Labels whose offset is fitted: without pixels of a class, any offset that predicts it less looks better."""

    def score(self, prior: float) -> float:
        """Return the score with that prior and without offsets."""
        scores = self.logs + prior * self.shares
        scores[:, self.suppressed] = -np.inf
        cells = self.truth * self.classes + scores.argmax(1)
        counts = np.bincount(cells, minlength=self.classes**2).reshape(self.classes, self.classes)
        return float(self.found.scores(counts))

    def fit(self, priors: tuple[float, ...]) -> Decision:
        """Return the best of these priors, with its offsets."""
        if priors not in self._fitted:
            self._fitted[priors] = self._fit(priors)
        return self._fitted[priors]

    def _fit(self, priors: tuple[float, ...]) -> Decision:
        fitted = [(self._ascend(self.logs + prior * self.shares), prior) for prior in priors]
        (_, offsets), prior = max(fitted, key=lambda result: result[0][0])
        return Decision(offsets=tuple(float(offset) for offset in offsets), prior=prior)

    def _ascend(self, scores: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the score and the offsets (C,) after coordinate ascent that starts from offsets of 0."""
        scores = scores.copy()
        scores[:, self.suppressed] = -np.inf
        offsets, best = np.zeros(self.classes), -1.0
        for _ in range(ROUNDS):
            before = best
            for label in self.fitted:
                values = self._along(scores + offsets, label, offsets[label])
                at = max(range(len(OFFSETS)), key=lambda index: (values[index], -abs(OFFSETS[index])))
                best, offsets[label] = values[at], OFFSETS[at]
            if best <= before:
                break
        return best, offsets

    def _along(self, scores: np.ndarray, label: int, present: float) -> np.ndarray:
        """Return the score for each of OFFSETS of one class, with the other classes' offsets fixed.

        A pixel is given the class if the offset exceeds the lead of the best other class. Histograms of the leads
        therefore hold the tallies of all offsets.
        """
        own = scores[:, label] - present
        others = scores.copy()
        others[:, label] = -np.inf
        rival = others.argmax(1)
        lead = np.take_along_axis(others, rival[:, None], 1)[:, 0] - own
        bins = np.searchsorted(OFFSETS, lead, side="right")  # the first offset that is above the lead
        right = rival == self.truth
        predicted, hits = self._left(bins, rival), self._left(bins[right], rival[right])
        moved, true = self._left(bins, self.truth), np.bincount(self.truth, minlength=self.classes)
        won = true - moved  # pixels that are given the class at each offset, by their true label
        predicted[:, label] += won.sum(1)
        hits[:, label] += won[:, label]
        return self.found.scores(Tallies(hits, np.broadcast_to(true, hits.shape), predicted))

    def _left(self, bins: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return how many pixels of each label are not given the class, at each of OFFSETS: (offsets, C) int64.

        Args:
            bins: (P,) the first offset at which the class is given to a pixel.
            labels: (P,) a label of each pixel.
        """
        size = (len(OFFSETS) + 1) * self.classes
        counts = np.bincount(bins * self.classes + labels, minlength=size).reshape(-1, self.classes)
        return (counts.sum(0) - counts.cumsum(0))[: len(OFFSETS)]
