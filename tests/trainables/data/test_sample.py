from __future__ import annotations

import numpy as np

from trainables.data import SAMPLE, DataSource, prepare
from trainables.data.cleaning.unusable_pairs import unusable_pairs
from trainables.data.description import MARS
from trainables.data.sample import ALIENS, LABELLED, UNLABELLED, sample


def test_it_is_the_same_every_time(monkeypatch):
    whole = prepare(DataSource(uri=SAMPLE))
    monkeypatch.setattr("trainables.data.sample.LABELLED", 20)  # all 680 scenes take seconds
    monkeypatch.setattr("trainables.data.sample.UNLABELLED", 2)
    first, again = sample(), sample()
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.masks, again.masks)
    assert np.array_equal(first.unlabelled, again.unlabelled)
    # Scenes are drawn one after the other, so the first ones are those of the whole sample.
    aliens = [index for found in unusable_pairs(first.images, first.masks, MARS) for index in found.indices]
    assert np.array_equal(np.delete(first.images, aliens, axis=0), whole.images[:20])
    assert np.array_equal(np.delete(first.masks, aliens, axis=0), whole.masks[:20])
    assert np.array_equal(first.unlabelled, whole.images[20:22])


def test_the_audit_finds_just_the_planted_aliens():
    data = prepare(DataSource(uri=SAMPLE))
    (aliens,) = data.report.dropped
    assert len(aliens.indices) == ALIENS
    assert len(data.images) == LABELLED
    assert len(data.unlabelled) == UNLABELLED


def test_it_is_honest_about_what_it_is():
    report = prepare(DataSource(uri=SAMPLE)).report
    assert report.synthetic
    assert "synthetic" in report.summary()
    assert not report.warnings


def test_classes_are_as_rare_as_in_the_real_data():
    data = prepare(DataSource(uri=SAMPLE))
    shares = data.report.class_shares
    assert 0.15 < shares["background"] < 0.35
    assert 0.001 < shares["big rock"] < 0.01
    assert min(shares[name] for name in ("soil", "bedrock", "sand")) > 0.15
    for indices in data.split.values():
        assert (np.asarray(data.masks[indices]) == MARS.class_names.index("big rock")).any(axis=(1, 2)).sum() >= 3


def test_a_constant_prediction_scores_below_015():
    data = prepare(DataSource(uri=SAMPLE))
    counts = data.pixel_counts(data.split["test"])[1:]
    assert (counts / counts.sum()).max() / len(counts) < 0.15


def test_brightness_alone_does_not_tell_the_classes_apart():
    """The best label for each grey level, chosen with the truth in hand, still scores low."""
    data = prepare(DataSource(uri=SAMPLE))
    images, masks = np.asarray(data.images), np.asarray(data.masks)
    table = np.stack([np.bincount(images[masks == label], minlength=256) for label in data.present_labels])
    predicted = np.array(data.present_labels)[table.argmax(axis=0)][images]
    scored = masks != MARS.ignored_label
    ious = [
        ((predicted == label) & (masks == label)).sum() / (((predicted == label) | (masks == label)) & scored).sum()
        for label in data.present_labels
    ]
    assert np.mean(ious) < 0.35
