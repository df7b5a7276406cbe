from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reports.prediction.scores_with_intervals import Confusions, confusion
from trainables.prediction.metric import MEAN_IOU
from trainables.training.evaluation import evaluate

NAMES = ("void", "a", "b", "c")


def confusions(*counts, scored=(1, 2, 3), metric=MEAN_IOU):
    return Confusions(counts=np.array(counts), names=NAMES, scored=scored, ignored=0, metric=metric)


def image(**cells):
    """A confusion matrix: `ab=3` are 3 pixels of a taken for b."""
    found = np.zeros((4, 4), np.int64)
    letters = "vabc"
    for (truth, taken), count in ((tuple(name), count) for name, count in cells.items()):
        found[letters.index(truth), letters.index(taken)] = count
    return found


def test_a_confusion_counts_pixels_by_truth_and_prediction():
    found = confusion(np.array([[0, 1, 2]], np.uint8), np.array([[2, 1, 1]], np.uint8), 3)
    assert found.tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_the_mean_is_over_the_classes_of_all_images_together():
    made = confusions(image(aa=6, ab=2), image(bb=3, ba=1, bc=2))
    assert made.class_iou() == {"a": 6 / 9, "b": 3 / 8}
    assert made.score() == pytest.approx((6 / 9 + 3 / 8) / 2)
    assert confusions(image(ac=1)).class_iou() == {"a": 0.0}


def test_a_gain_does_not_depend_on_which_resamples_lack_a_class():
    """One image of 40 holds class b. One predictor takes one pixel elsewhere for it: it is no class worse for that."""
    images = [image(aa=100)] * 39 + [image(bb=50, ba=50)]
    stray = [image(aa=99, ab=1), *images[1:]]
    gain = confusions(*images).gain_over(confusions(*stray))
    assert 0 <= gain.low <= gain.value <= gain.high < 0.05


@pytest.mark.parametrize("suppressed", [0, None])
def test_it_scores_as_the_evaluation_does(suppressed, facts):
    class Drawn(nn.Module):
        def forward(self, x):
            generator = torch.Generator().manual_seed(len(x))
            return torch.randn(len(x), 5, *x.shape[2:], generator=generator)

    data, indices = facts.data, facts.data.split["train"]
    expected = evaluate(
        Drawn(), data, indices, device=torch.device("cpu"), bf16=False, suppressed=suppressed is not None
    )
    logits = Drawn()(torch.zeros(len(indices), 1, 16, 24))
    if suppressed is not None:
        logits[:, 0] = -torch.inf
    predicted = [block.numpy().astype(np.uint8) for block in logits.argmax(1).split(7)]
    found = Confusions.of(data, indices, predicted, suppressed=suppressed, metric=MEAN_IOU)
    assert found.score() == pytest.approx(expected.score)
    assert found.class_iou() == pytest.approx(expected.class_iou)
    np.testing.assert_array_equal(found.counts.sum(0), expected.confusion)


def test_the_interval_is_one_over_images():
    """Of 400 images half are right: their share varies as a binomial one does."""
    right, wrong = image(aa=10), image(ac=10)
    made = confusions(*[right, wrong] * 200, scored=(1,))
    interval = made.interval()
    assert interval.value == 0.5
    spread = 1.96 * (0.25 / 400) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((0.5 - spread, 0.5 + spread), abs=0.006)
    assert made.class_intervals()["a"].low == interval.low
    assert str(interval) == f"0.500 ({interval.low:.3f} to {interval.high:.3f})"
    assert confusions(*[image(aa=5, ac=5)] * 50, scored=(1,)).interval().low == 0.5  # nothing varies


def test_a_gain_is_paired():
    rng = np.random.default_rng(0)
    hits = rng.integers(20, 80, 100)  # images differ much, and the other predictor is a little worse on each
    better = confusions(*[image(aa=hit, ac=100 - hit) for hit in hits], scored=(1,))
    worse = confusions(*[image(aa=hit - 2, ac=102 - hit) for hit in hits], scored=(1,))
    gain = better.gain_over(worse)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.02, 0.02, 0.02))
    assert better.interval().low < worse.interval().value < better.interval().high
    assert worse.gain_over(better).high < 0


def test_the_level_widens_the_interval():
    made = [confusions(*[image(aa=hit, ac=10 - hit) for hit in hits], scored=(1,)) for hits in ([4] * 40, [3, 6] * 20)]
    widths = [gain.high - gain.low for gain in (made[1].gain_over(made[0], level) for level in (0.5, 0.8, 0.95))]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_images_are_counted_that_hold_a_class():
    made = confusions(image(aa=1, ba=1), image(ab=3), image(cc=1), image(ca=4))
    assert made.images_with() == {"a": 2, "b": 1, "c": 2}


def test_without_labels_there_is_no_score():
    made = confusions(image(), image())
    assert np.isnan(made.score())
    assert made.class_iou() == made.class_intervals() == {}
    assert np.isnan(made.interval().low)
