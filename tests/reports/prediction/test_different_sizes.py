"""The predictor of images of different sizes: chosen, scored and shown on the images as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reports.prediction.decision_choice import AREAS, FITS, Pixels, ValidationPredictions
from reports.prediction.predictor_choice import choose_predictor
from reports.prediction.scores_with_intervals import Confusions
from search.views.pictures.prediction_panels import GAP, LONGEST, prediction_panel
from tests.made.layouts import write_files
from trainables.data import MARS, DataSource, PreparedData, prepare
from trainables.prediction.metric import MEAN_IOU

SIZES = [(20, 33), (41, 17), (16, 16), (30, 50), (64, 20), (25, 25), (40, 40), (18, 70), (33, 20), (50, 31), (22, 22)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> PreparedData:
    """The image of a mask shows its labels: 0, 100 and 200 grey levels."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("sizes")
    masks = [rng.integers(3, size=size).astype(np.uint8) for size in SIZES]
    write_files(root, [100 * mask for mask in masks], masks)
    return prepare(DataSource(uri=str(root), crop=(16, 24), keep_outliers=True), cache=root / "cache")


class Shown(nn.Module):
    """Predicts the label that a pixel shows, or always 0."""

    def __init__(self, data: PreparedData, *, right: bool = True):
        super().__init__()
        self.data, self.right = data, right

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[2:] == self.data.crop
        labels = ((images[:, 0] * self.data.pixels.std[0] + self.data.pixels.mean[0]) * 2.55).round().long()
        return 9.0 * nn.functional.one_hot(labels * self.right, 3).movedim(-1, 1).float()


def test_the_best_members_are_chosen_and_score_every_pixel_once(data):
    models = {3: Shown(data), 5: Shown(data, right=False)}
    choice = choose_predictor(data, models, flips=2, suppressed=None, device=CPU, bf16=False, metric=MEAN_IOU)
    assert choice.predictor.members == (3,)
    assert choice.validation.score() == choice.single.score() == 1.0
    counts = data.class_pixels(data.split["val"])
    assert np.array_equal(choice.validation.counts.sum(2), counts)
    predictor = choice.predictor.with_models(models, data, CPU, bf16=False)
    everything = np.arange(len(SIZES))
    found = [labels for batch in predictor.labels(data.images) for labels in batch]
    assert [labels.shape for labels in found] == SIZES
    assert predictor.batches(data.images) == len(SIZES)
    scores = Confusions.of(data, everything, (labels[None] for labels in found), suppressed=None, metric=MEAN_IOU)
    assert scores.score() == 1.0
    assert scores.counts.sum() == sum(height * width for height, width in SIZES)


def predictions(sizes: list[tuple[int, int]]) -> ValidationPredictions:
    rng = np.random.default_rng(1)
    masks = [rng.integers(3, size=size).astype(np.uint8) for size in sizes]
    logits = [torch.from_numpy(np.eye(3)[mask] + rng.normal(size=(*mask.shape, 3))) for mask in masks]
    return ValidationPredictions(
        probabilities=[logit.softmax(-1).movedim(-1, 0).float() for logit in logits],
        masks=masks,
        rare=np.arange(len(sizes)) % 2 == 0,
        names=("a", "b", "c"),
        scored=(0, 1, 2),
        ignored=None,
        metric=MEAN_IOU,
    )


def test_decisions_are_fitted_on_images_of_any_sizes():
    found = predictions([(9, 12), (20, 7), (20, 7), (15, 15)])
    pixels = Pixels(found)
    assert len(pixels.truth) == 9 * 12 + 2 * 20 * 7 + 15 * 15
    for fit in FITS.values():
        decided = found.decided(fit(pixels))
        assert decided.counts.sum((1, 2)).tolist() == [108, 140, 140, 225]
    smallest = FITS["offsets, prior and smallest region"](pixels).smallest
    assert smallest in {round(part * 140) for part in AREAS}  # of the median size


def test_pictures_of_different_sizes_are_below_each_other_and_not_too_large():
    sizes = [(10, 20), (1024, 256), (30, 8)]
    masks = [np.full(size, 1, np.uint8) for size in sizes]
    images = [np.full((*size, 3), 7, np.uint8) for size in sizes]
    panel = prediction_panel(images, masks, masks, MARS)
    assert panel.shape == (10 + LONGEST + 30 + 2 * GAP, 4 * (128 + GAP) - GAP, 3)
    assert (panel[:10, :20] == 7).all()
    assert (panel[:10, 20:130] == 255).all()
    assert (panel[10 + GAP : 10 + GAP + LONGEST, :128] == 7).all()
