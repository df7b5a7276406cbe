"""The predictor of a study, chosen on validation and scored on the held-out test part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from reports.inputs import StudyFacts
from reports.prediction.confusions import Confusions, Interval
from reports.prediction.predictor import Choice, Predictor, choose_predictor
from search.ledger.ranking import ranked
from search.views.prediction_panels import telling_images
from trainables.config import TrialConfig
from trainables.device import uses_bf16
from trainables.training.checkpoints import checkpoint_store
from trainables.training.decision import PLAIN
from trainables.training.epoch_loop import load_best

EXAMPLES = 8
"""Test images shown with their predictions."""
VERTICAL_FLIPS = "flips"
"""The augmentation that shows images upside down as well."""
FEW_IMAGES = 10
"""Below, the score of a class says little."""
MOST_LISTED = 6
"""Classes in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A configuration that was there before the search: what the search is to be better than."""

    number: int
    gain: Interval
    """Of the predictor over this trial's weights alone, on the test part, paired."""

    def sentence(self) -> str:
        points = f"{100 * self.gain.value:+.1f} points ({100 * self.gain.low:+.1f} to {100 * self.gain.high:+.1f})"
        compared = f"on the test part over trial {self.number:04d}, the best that the search began with: {points}"
        return compared if self.gain.value > 0 else f"{compared}: the search brought nothing that could be measured"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a report says of the search's predictor."""

    choice: Choice
    models: Mapping[int, nn.Module]
    """The weights that it may use, by trial."""
    test: Confusions
    """Of the predictor, on images that neither trained nor chose anything."""
    seconds_to_choose: float
    """That choosing it took."""
    seconds_per_image: float
    """That the predictor took for these."""
    begun: Begun | None
    """The best trial that the search began with; None where it is the predictor's only one, or its weights are gone."""
    example_indices: np.ndarray
    """(N,) of test images."""
    example_predictions: np.ndarray
    """(N, H, W) labels."""

    @property
    def validation(self) -> Confusions:
        return self.choice.validation


def searched_models(facts: StudyFacts, count: int, device: torch.device) -> dict[int, nn.Module]:
    """The best trials' weights, the best trial first; of the others those that are still there.

    Raises:
        ValueError: if the best trial's weights are missing or damaged.
    """
    models: dict[int, nn.Module] = {}
    root = facts.settings.checkpoint_root(facts.folder)
    for record in ranked(facts.records)[:count]:
        try:
            models[record.number] = load_best(checkpoint_store(root, record.number), facts.data, device)
        except ValueError:
            if not models:
                raise
    return models


def score_models(
    facts: StudyFacts,
    models: Mapping[int, nn.Module],
    *,
    suppressed: int | None,
    device: torch.device,
    calibrate: bool = True,
) -> Scored:
    """Choose the predictor among these weights, and score it on the test part.

    Args:
        facts: the study.
        models: in evaluation mode, by the number of their trial, the best trial first.
        suppressed: a label that is never predicted.
        device: where to compute.
        calibrate: whether labels may be decided otherwise than by the highest probability.
    """
    data, bf16 = facts.data, uses_bf16(facts.settings.precision, device)
    augmentations = TrialConfig.from_flat(facts.best.config).augmentation.name.split("+")
    started = time.perf_counter()
    choice = choose_predictor(
        data,
        models,
        flips=4 if VERTICAL_FLIPS in augmentations else 2,
        suppressed=suppressed,
        device=device,
        bf16=bf16,
        calibrate=calibrate,
    )

    chosen = time.perf_counter()

    def tested(predictor: Predictor, indices: np.ndarray) -> list[np.ndarray]:
        return list(predictor.predict(models, data.images[indices], scale=data.scale, device=device, bf16=bf16))

    test, shown = data.split["test"], telling_images(data, "test", EXAMPLES)
    before = time.perf_counter()
    predicted = tested(choice.predictor, test)
    seconds = time.perf_counter() - before
    confusions = Confusions.of(data, test, predicted, suppressed=suppressed)
    return Scored(
        begun=_begun(facts, choice.predictor, confusions, device),
        choice=choice,
        models=models,
        test=confusions,
        seconds_to_choose=chosen - started,
        seconds_per_image=seconds / max(1, len(test)),
        example_indices=shown,
        example_predictions=np.concatenate(
            [np.empty((0, *data.images.shape[1:]), np.uint8), *tested(choice.predictor, shown)]
        ),
    )


def _begun(facts: StudyFacts, predictor: Predictor, test: Confusions, device: torch.device) -> Begun | None:
    """The predictor beside the best trial that the search began with, if both are not the same."""
    begun = ranked([facts.records[number] for number in facts.begun_with])
    if not begun:
        return None
    number, data, suppressed = begun[0].number, facts.data, predictor.suppressed
    alone = Predictor(members=(number,), flips=1, decision=PLAIN, suppressed=suppressed)
    store = checkpoint_store(facts.settings.checkpoint_root(facts.folder), number)
    try:
        models = {number: load_best(store, data, device)}
    except ValueError:
        return None
    indices = data.split["test"]
    predicted = alone.predict(
        models,
        data.images[indices],
        scale=data.scale,
        device=device,
        bf16=uses_bf16(facts.settings.precision, device),
    )
    other = Confusions.of(data, indices, predicted, suppressed=suppressed)
    return Begun(number=number, gain=test.gain_over(other))


def score_lines(facts: StudyFacts, scored: Scored) -> list[str]:
    """The scores in words: of validation and test with their intervals, and what to make of the two."""
    validation, test = scored.validation.interval(), scored.test.interval()
    chosen = sum(record.score is not None for record in facts.records)
    lines = []
    for part, confusions in (("validation", scored.validation), ("held-out test", scored.test)):
        each = "; ".join(f"{name} {interval}" for name, interval in confusions.class_intervals().items())
        lines.append(f"{part}: mean IoU {confusions.interval()}: {each}")
    lines.append(
        f"validation chose among {chosen} trials, their epochs and the predictor: expect the test score. "
        f"The two differ by {100 * (validation.value - test.value):+.1f} points"
    )
    lines += [scored.begun.sentence()] if scored.begun is not None else []
    return lines + rare_lines(scored)


def rare_lines(scored: Scored) -> list[str]:
    """A warning for each class whose score rests on few images."""
    lines = []
    for part, confusions in (("validation", scored.validation), ("test", scored.test)):
        held = confusions.images_with().items()
        few = [f"{name} on {count}" for name, count in held if 0 < count < FEW_IMAGES]
        if few:
            more = f" and {len(few) - MOST_LISTED} more" if len(few) > MOST_LISTED else ""
            named = f"{', '.join(few[:MOST_LISTED])}{more}"
            lines.append(f"few images of the {part} part hold {named}: such a score may be far off")
    return lines
