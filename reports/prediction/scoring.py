"""The predictor of a study, chosen on validation and scored on the held-out test part."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from reports.inputs import StudyFacts
from reports.prediction.predictor_choice import Choice, PredictorSettings, choose_predictor
from reports.prediction.scores_with_intervals import Confusions, Interval
from search.ledger.ranking import ranked
from search.views.pictures.prediction_panels import telling_images
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.data.sizes.images import Chosen
from trainables.device import uses_bf16
from trainables.errors import listed
from trainables.messages import EpochReport
from trainables.prediction.decision import PLAIN
from trainables.prediction.metric import MEAN_IOU
from trainables.training.checkpoint_store import checkpoint_store, stored_trials
from trainables.training.resumable_training import load_best, read_best

EXAMPLES = 8
"""Number of test images that are shown with their predictions."""
VERTICAL_FLIPS = "flips"
"""The augmentation that also flips images upside down."""
FEW_IMAGES = 10
"""With fewer images than this, the score of a class is unreliable."""
MOST_LISTED = 6
"""Most classes that a sentence in the terminal names."""
MOST_AVERAGED = 20
"""Most classes that the page names as those that the score is over."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The best configuration that the search began with, which the search should improve on."""

    number: int
    gain: Interval
    """Paired gain of the predictor over this trial's weights alone, on the test part."""

    def sentence(self) -> str:
        points = f"{100 * self.gain.value:+.1f} points ({100 * self.gain.low:+.1f} to {100 * self.gain.high:+.1f})"
        compared = f"gain on the test part over trial {self.number:04d}, the best that the search began with: {points}"
        return compared if self.gain.value > 0 else f"{compared}; the search brought no measurable gain"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The predictor of a search, its scores and its example predictions."""

    choice: Choice
    models: Mapping[int, nn.Module]
    """Models that the predictor may use, keyed by the number of their trial."""
    test: Confusions
    """Confusions of the predictor on the test part, whose images neither trained nor chose anything."""
    seconds_to_choose: float
    """Seconds that it took to choose the predictor."""
    seconds_per_image: float
    """Seconds that the predictor took per test image."""
    begun: Begun | None
    """The best trial that the search began with; None if there is none, or if its weights are gone."""
    example_indices: np.ndarray
    """(N,) indices of test images."""
    example_predictions: Sequence[np.ndarray]
    """N predicted masks (H, W) of these images."""

    never: str | None
    """A warning about classes that are never predicted on the test part; None if there are none."""

    @property
    def validation(self) -> Confusions:
        return self.choice.validation


def searched_models(facts: StudyFacts, count: int, device: torch.device) -> tuple[StudyFacts, dict[int, nn.Module]]:
    """Load the weights of the best `count` trials, the best trial first. Others are left out if their weights are gone.

    A trial that runs, or whose process was killed, may have saved an epoch that the ledger does not have. Such a trial
    counts as what its weights are: its record gets the reports up to them.

    Returns: the study with these records, and the models, keyed by the number of their trial.

    Raises:
        ValueError: if the best trial's weights are missing or damaged.
    """
    models: dict[int, nn.Module] = {}
    root, tried = facts.settings.checkpoint_root(facts.folder), set[int]()
    while untried := [record for record in facts.candidates(count) if record.number not in tried]:
        record = untried[0]
        tried.add(record.number)
        try:
            saved = read_best(checkpoint_store(root, record.number), facts.data, device)
        except ValueError as error:
            if record.number == facts.chosen:
                with_weights = sorted(stored_trials(root) - {record.number})
                raise ValueError(
                    f"{error}: a search keeps the weights of the best trials only. Trials with weights: "
                    f"{listed(with_weights) or 'none'}"
                ) from error
            if record.number == facts.best.number:
                raise
            continue
        models[record.number] = saved.model
        if saved.reports and _held(saved.reports[-1]) != _held(record.best):
            facts = facts.with_record(dataclasses.replace(record, reports=saved.reports))
    best = facts.candidates(count)
    return facts, {record.number: models[record.number] for record in best if record.number in models}


def _held(report: EpochReport | None) -> tuple[int, float | None] | None:
    return None if report is None else (report.epoch, report.score)


def saved_lines(before: StudyFacts, after: StudyFacts) -> list[str]:
    """Say which trials count as what their weights are, and not as in the ledger."""
    lines = []
    for recorded, saved in zip(before.records, after.records, strict=True):
        if recorded is not saved and recorded.best is not None and saved.best is not None:
            lines.append(
                f"trial {saved.number:04d} counts as what its best.pt holds: epoch {saved.best.epoch}, "
                f"{after.metric.title} {saved.score:.4f}; its best epoch in the ledger is {recorded.best.epoch}, "
                f"{recorded.score:.4f}"
            )
    return lines


def score_models(
    facts: StudyFacts,
    models: Mapping[int, nn.Module],
    *,
    suppressed: int | None,
    device: torch.device,
    calibrate: bool = True,
) -> Scored:
    """Choose the predictor among these models, and score it on the test part.

    Args:
        facts: the study.
        models: models in evaluation mode, keyed by the number of their trial, the best trial first.
        suppressed: a label that is never predicted.
        device: device of the computation.
        calibrate: whether a decision other than the most probable class may be fitted.
    """
    data, bf16 = facts.data, uses_bf16(facts.settings.precision, device)
    started = time.perf_counter()
    choice = choose_predictor(
        data,
        models,
        flips=suitable_flips(facts),
        suppressed=suppressed,
        device=device,
        bf16=bf16,
        metric=facts.metric,
        calibrate=calibrate,
    )

    chosen = time.perf_counter()

    predictor = choice.predictor.with_models(models, data, device, bf16=bf16)
    test, shown = data.split["test"], telling_images(data, "test", EXAMPLES)
    before = time.perf_counter()
    pixels = np.zeros(data.description.num_classes, np.int64)

    def counted(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for labels in batches:
            pixels[:] += np.bincount(labels.ravel(), minlength=len(pixels))
            yield labels

    predicted = counted(predictor.labels(Chosen(data.images, test)))
    confusions = Confusions.of(data, test, predicted, suppressed=suppressed, metric=facts.metric)
    seconds = time.perf_counter() - before
    return Scored(
        never=never_sentence(data, pixels, "the held-out test part"),
        begun=_begun(facts, choice.predictor, confusions, device),
        choice=choice,
        models=models,
        test=confusions,
        seconds_to_choose=chosen - started,
        seconds_per_image=seconds / max(1, len(test)),
        example_indices=shown,
        example_predictions=[labels for batch in predictor.labels(Chosen(data.images, shown)) for labels in batch],
    )


def suitable_flips(facts: StudyFacts) -> int:
    """Return the number of `FLIPS` that suit the images: 4 if the training saw images upside down, else 2."""
    return 4 if VERTICAL_FLIPS in TrialConfig.from_flat(facts.best.config).augmentation.name.split("+") else 2


def _begun(facts: StudyFacts, predictor: PredictorSettings, test: Confusions, device: torch.device) -> Begun | None:
    """Compare the predictor with the best trial that the search began with; None if there is none with weights."""
    begun = ranked([facts.record(number) for number in facts.begun_with])
    if not begun:
        return None
    number, data, suppressed = begun[0].number, facts.data, predictor.suppressed
    alone = PredictorSettings(members=(number,), flips=1, decision=PLAIN, suppressed=suppressed)
    store = checkpoint_store(facts.settings.checkpoint_root(facts.folder), number)
    try:
        models = {number: load_best(store, data, device)}
    except ValueError:
        return None
    indices = data.split["test"]
    bf16 = uses_bf16(facts.settings.precision, device)
    predicted = alone.with_models(models, data, device, bf16=bf16).labels(Chosen(data.images, indices))
    other = Confusions.of(data, indices, predicted, suppressed=suppressed, metric=facts.metric)
    return Begun(number=number, gain=test.gain_over(other))


def score_lines(facts: StudyFacts, scored: Scored) -> list[str]:
    """Describe the validation and test scores with their intervals, and how to read them."""
    validation, test = scored.validation.interval(), scored.test.interval()
    chosen = sum(record.score is not None for record in facts.records)
    lines = []
    for part, confusions in (("validation", scored.validation), ("held-out test", scored.test)):
        each = "; ".join(f"{name} {interval}" for name, interval in confusions.class_intervals().items())
        also = "" if facts.metric.is_mean_iou else f"; mean IoU {confusions.scored_by(MEAN_IOU).interval()}"
        lines.append(f"{part}: {facts.metric.title} {confusions.interval()}{also}: {each}")
    differ = 100 * (validation.value - test.value)
    lines.append(
        f"the validation part was used to choose among {chosen} trials, their epochs and the predictor, so its score "
        "is too optimistic: expect the test score"
        + ("" if math.isnan(differ) else f". The two differ by {differ:+.1f} points")
    )
    lines += [scored.begun.sentence()] if scored.begun is not None else []
    return lines + rare_lines(scored)


def never_sentence(data: PreparedData, pixels: np.ndarray, images: str) -> str | None:
    """Return a warning about classes of the data that a model never predicts; None if it predicts each.

    Args:
        data: the data set, whose masks hold the classes.
        pixels: (C,) predicted pixels of each class.
        images: which images these are of.
    """
    names = data.description.class_names
    never = [names[label] for label in data.present_labels if not pixels[label]]
    if not never:
        return None
    return (
        f"the final model never predicts {listed(never, most=MOST_LISTED)} on {images}: the IoU of such "
        "a class is 0. Label more images that show it, or search for longer"
    )


def averaged_sentence(scored: Scored) -> str:
    """Return which classes the score of each part is over: those that count, and that the part's labels hold."""
    sentences, metric = [], scored.test.metric
    if metric.classes is not None and len(metric.classes) == 1:
        return ""
    for part, confusions in (("held-out test", scored.test), ("validation", scored.validation)):
        held = [name for name, count in confusions.images_with().items() if count and metric.counts(name)]
        named = f": {', '.join(held)}" if len(held) <= MOST_AVERAGED else ""
        sentences.append(f"The {metric.mean} on the {part} part is over the {len(held)} classes that it holds{named}.")
    return " ".join(sentences)


def mean_iou_sentence(scored: Scored) -> str:
    """Return the mean IoU on both parts, for a study whose score is another metric."""
    test, validation = (part.scored_by(MEAN_IOU).interval() for part in (scored.test, scored.validation))
    return f"The mean IoU of all classes is {test} on the held-out test part, and {validation} on validation."


def rare_lines(scored: Scored) -> list[str]:
    """Return a warning for each part in which some classes occur in few images."""
    lines = []
    for part, confusions in (("validation", scored.validation), ("test", scored.test)):
        held = confusions.images_with().items()
        few = [f"{name} ({count})" for name, count in held if 0 < count < FEW_IMAGES]
        if few:
            named = listed(few, most=MOST_LISTED)
            lines.append(f"few images of the {part} part hold {named}: scores of such classes may be far off")
    return lines
