"""What prepared data says of small and odd data sets, by exact values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.made.competition import MARS_KEYS
from trainables.data import MARS, SAMPLE, DataReport, DataSource, PreparedData, prepare

Maker = Callable[..., PreparedData]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Prepares images and masks (N, H, W), by default with the competition's classes."""

    def prepared(images: np.ndarray, masks: np.ndarray, seed: int = 0, **others: np.ndarray) -> PreparedData:
        keys = others if "class_names" in others else MARS_KEYS | others
        np.savez(tmp_path / "d.npz", training_set=np.stack([images, masks], axis=1), **keys)
        return prepare(DataSource(uri=str(tmp_path / "d.npz"), seed=seed), cache=tmp_path / "cache")

    return prepared


def masks_of(*labels: int) -> np.ndarray:
    """(N, 2, 3): one label an image."""
    return np.repeat(np.uint8(labels), 6).reshape(-1, 2, 3)


def grey(masks: np.ndarray, level: float = 90) -> np.ndarray:
    return np.full(masks.shape, level)


def sizes(data: PreparedData) -> dict[str, int]:
    return {part: len(indices) for part, indices in data.split.items()}


def test_49_images_are_39_5_and_5(make):
    masks = masks_of(*[1] * 46, 3, 3, 3)
    data = make(grey(masks), masks)
    assert sizes(data) == data.report.parts == {"train": 39, "val": 5, "test": 5}
    assert [data.holds(indices, 3).sum() for indices in data.split.values()] == [1, 1, 1]
    assert data.rarest_label == 3
    assert data.report.warnings == (
        "no mask holds class 2 (bedrock): it is left out of the mean IoU",
        "no mask holds class 4 (big rock): it is left out of the mean IoU",
    )


def test_ten_images_in_five_classes_are_8_1_and_1(make):
    masks = masks_of(*[0, 1, 2, 3, 4] * 2)
    data = make(grey(masks), masks, class_names=np.array(list("abcde")))
    assert sizes(data) == {"train": 8, "val": 1, "test": 1}
    assert data.present_labels == (0, 1, 2, 3, 4)
    assert data.description.ignored_label is None


def test_nine_images_are_too_few_and_nothing_was_dropped(make, tmp_path):
    masks = masks_of(*[1] * 9)
    with pytest.raises(ValueError) as refused:
        make(grey(masks), masks)
    assert str(refused.value) == (
        f"{tmp_path / 'd.npz'}: 9 images are too few to split 80/10/10: at least 10 are needed"
    )


def test_the_rarest_class_is_the_one_with_the_fewest_pixels_of_those_that_are_there(make):
    masks = masks_of(*[1] * 6, *[3] * 6)
    masks[[0, 6], 1, 0] = masks[[1, 7], 1, 1] = 2  # 4 pixels in 4 images
    masks[4, 1] = 0  # unlabelled: 3 pixels in 1 image, fewer than any class has
    data = make(grey(masks), masks)
    assert data.pixel_counts(np.arange(12)).tolist() == [3, 31, 4, 34, 0]
    assert data.pixel_counts(np.array([0, 4])).tolist() == [3, 8, 1, 0, 0]
    assert data.present_labels == (1, 2, 3)
    assert data.rarest_label == 2
    assert data.holds(np.array([0, 4, 7, 11]), 2).tolist() == [True, False, True, False]
    shares = {"background": 3 / 72, "soil": 31 / 72, "bedrock": 4 / 72, "sand": 34 / 72, "big rock": 0.0}
    assert data.report.class_shares == pytest.approx(shares)


def test_the_split_knows_no_ignored_label(make):
    """Images are stratified by scored classes: here all but two are of one stratum."""
    masks = masks_of(*[1] * 20)
    masks[:3, 0, 0] = 0
    masks[3:5, 0, 0] = 2
    data = make(grey(masks), masks)
    # Strata of 2 and 18. Were unlabelled pixels a class, its three images would be shared out one by one.
    assert sizes(data) == {"train": 16, "val": 2, "test": 2}
    in_train = np.isin(data.split["train"], [3, 4]).sum()
    assert in_train == 2


def test_pixels_in_0_to_255_are_scaled_and_those_in_0_to_1_are_not(make):
    masks = masks_of(*[1] * 10)
    data = make(grey(masks, 51), masks)
    assert (data.images.dtype, data.pixels.scale) == (np.uint8, 1 / 255)
    assert float(data.images[0, 0, 0]) * data.pixels.scale == pytest.approx(0.2)
    data = make(grey(masks, 0.25), masks)
    assert (data.images.dtype, data.pixels.scale, data.images[9, 1, 2]) == (np.float32, 1.0, 0.25)


def test_training_images_of_black_and_white_take_the_scale_of_the_test_images(make):
    masks = masks_of(*[1] * 10)
    data = make(grey(masks, 1), masks, test_set=np.full((2, 2, 3), 255.0))
    assert (data.pixels.scale, data.images.max(), data.unlabelled.max()) == (1 / 255, 1, 255)
    assert make(grey(masks, 1.0), masks, test_set=np.full((2, 2, 3), 1.0)).pixels.scale == 1.0


def test_the_report_counts_what_was_kept(make, tmp_path):
    masks = masks_of(*[1] * 14)
    masks[[2, 5, 7], 0] = 2  # one mask under three images
    images = grey(masks)
    images[[7, 11]] = 200
    data = make(images, masks, test_set=images[:4])
    assert data.report == DataReport(
        name="d",
        uri=str(tmp_path / "d.npz"),
        synthetic=False,
        labelled=11,
        unlabelled=4,
        sizes="2x3",
        dropped=data.dropped,
        doubtful=data.doubtful,
        doubtful_list=str(data.folder / "doubtful.txt"),
        keep_outliers=False,
        named=True,
        class_shares={"background": 0.0, "soil": 1.0, "bedrock": 0.0, "sand": 0.0, "big rock": 0.0},
        parts={"train": 9, "val": 1, "test": 1},
        warnings=tuple(
            f"no mask holds class {label} ({MARS.class_names[label]}): it is left out of the mean IoU"
            for label in (2, 3, 4)
        ),
    )
    assert [found.indices for found in data.dropped] == [(2, 5, 7)]
    assert [found.indices for found in data.doubtful] == [(7, 11)]
    assert data.images.shape == data.masks.shape == (11, 2, 3)
    assert (data.images == 90).sum() == 10 * 6
    assert (data.masks == 1).all()


def test_without_a_test_set_nothing_is_to_predict(make):
    masks = masks_of(*[1] * 10)
    data = make(grey(masks), masks)
    assert data.unlabelled is None
    assert data.report.unlabelled == 0
    assert data.report.dropped == ()


def test_what_was_dropped_is_explained_by_the_reason_when_too_little_is_left(make, tmp_path):
    masks = masks_of(*[1] * 11)
    masks[:3, 0] = 2
    images = grey(masks)
    with pytest.raises(ValueError) as refused:
        make(images, masks)
    assert str(refused.value) == (
        f"{tmp_path / 'd.npz'}: 8 images are too few to split 80/10/10: at least 10 are needed"
        "; 3 were dropped: they share one and the same mask of several classes"
    )


def test_a_part_of_the_train_part_keeps_its_share_of_the_rarest_class(make):
    masks = masks_of(*[1] * 30, *[2] * 10)
    data = make(grey(masks), masks)
    assert sizes(data) == {"train": 32, "val": 4, "test": 4}
    rare = [int(data.holds(data.train_part(fraction), 2).sum()) for fraction in (1.0, 0.5, 0.25)]
    assert [len(data.train_part(fraction)) for fraction in (1.0, 0.5, 0.25)] == [32, 16, 8]
    assert rare == [8, 4, 2]
    assert np.array_equal(data.train_part(), data.split["train"])
    assert set(data.train_part(0.25)) <= set(data.train_part(0.5)) <= set(data.split["train"])


def test_the_sources_seed_decides_the_split_and_the_parts_of_it(make):
    masks = masks_of(*[1] * 30, *[2] * 10)
    one, again, other = (make(grey(masks), masks, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.split["val"], again.split["val"])
    assert not np.array_equal(one.split["val"], other.split["val"])
    other.split["train"] = one.split["train"]
    assert np.array_equal(one.train_part(0.5), again.train_part(0.5))
    assert not np.array_equal(one.train_part(0.5), other.train_part(0.5))


def test_its_fingerprint_is_of_content_cleaning_and_split(make, tmp_path):
    masks = masks_of(*[1] * 10)
    data = make(grey(masks), masks, seed=12)
    content = hashlib.sha256((tmp_path / "d.npz").read_bytes()).hexdigest()[:16]
    assert data.folder == tmp_path / "cache" / f"{content}-4"
    assert data.fingerprint == f"{content}-4-12"
    copy = pickle.loads(pickle.dumps(data))
    assert (copy.folder, copy.source) == (data.folder, data.source)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.folder = tmp_path


def test_its_files_are_listed_with_their_sizes(make):
    masks = masks_of(*[1] * 10)
    folder = make(grey(masks), masks, test_set=grey(masks)).folder
    assert json.loads((folder / "meta.json").read_text()) == {
        "description": {
            "class_names": list(MARS.class_names),
            "ignored_label": 0,
            "values": None,
            "colour_masks": False,
        },
        "named": True,
        "pixels": {"dtype": "uint8", "low": [0.0], "high": [255.0], "mean": [0.0], "std": [1.0]},
        "names": None,
        "unlabelled_names": None,
        "parts": {},
        "groups": None,
        "announcements": [],
        "dropped": [],
        "doubtful": [],
        "sizes": {"images.npy": 188, "masks.npy": 188, "unlabelled.npy": 188, "counts.npy": 528},  # 128 of header
    }
    counts = np.load(folder / "counts.npy")
    assert counts.dtype == np.int64
    assert counts.tolist() == [[0, 6, 0, 0, 0]] * 10


def test_a_single_scored_class_is_nothing_to_score(make, tmp_path):
    masks = masks_of(*[0] * 5, *[1] * 10)
    with pytest.raises(ValueError) as refused:
        make(grey(masks), masks).check_scored()
    assert str(refused.value) == (
        f"{tmp_path / 'd.npz'}: the masks hold a single scored class, soil (background is ignored), so that every "
        "model would score 1.0: score a second class, for example by leaving out ignored_label"
    )
    masks = masks_of(*[1] * 10, *[2] * 5)
    make(grey(masks), masks).check_scored()


def test_parts_that_cannot_be_trained_or_scored_on_are_refused(make, tmp_path):
    masks = masks_of(*[0] * 20, 1, 2)
    with pytest.raises(ValueError) as refused:
        make(grey(masks), masks).check_scored()
    assert str(refused.value) == (
        f"{tmp_path / 'd.npz'}: no mask of the validation part holds a labelled pixel: label at least three images"
    )
    masks = masks_of(*[0] * 20, 1, 2, 2)
    make(grey(masks), masks).check_scored()


def test_the_labels_of_some_images_are_those_that_their_masks_hold(make):
    masks = masks_of(*[0] * 5, *[3] * 3, *[1] * 6)
    data = make(grey(masks), masks)
    assert data.present_labels == (1, 3)
    assert data.labels_in(np.arange(0, 8)) == (3,)
    assert data.labels_in(np.arange(4, 14)) == (1, 3)
    assert data.labels_in(np.arange(5)) == data.labels_in(np.arange(0)) == ()


def test_a_part_of_the_train_part_keeps_every_class_of_it(make):
    masks = masks_of(*[1] * 60, *[2] * 4, *[3] * 3)
    data = make(grey(masks), masks)
    assert data.labels_in(data.split["train"]) == (1, 2, 3)
    for fraction in (0.01, 0.1, 0.3):
        part = data.train_part(fraction)
        assert data.labels_in(part) == (1, 2, 3)
        assert len(part) <= round(fraction * len(data.split["train"])) + 2


def test_only_the_sample_is_called_synthetic(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.sample.LABELLED", 20)
    monkeypatch.setattr("trainables.data.sample.UNLABELLED", 1)
    data = prepare(DataSource(uri=SAMPLE), cache=tmp_path)
    assert data.report.synthetic
    assert data.folder == tmp_path / "sample-4"
