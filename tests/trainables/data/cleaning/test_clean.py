from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.made.competition import MARS_KEYS
from trainables.data import MARS, DataDescription, DataSource, NoSuchImageError, prepare, read_drop_list
from trainables.data.cleaning.clean import LISTED, clean
from trainables.data.cleaning.unusable_pairs import Flagged
from trainables.data.pixel_format import plain_format
from trainables.data.raw_data import RawData

ALIENS, BRIGHT = (4, 8, 9), (30, 31)
SHARED = "share one and the same mask of several classes"
MEAN = "have a mean pixel more than 6 robust standard deviations from the median"
SOURCE = DataSource(uri="d.npz")


def pairs() -> np.ndarray:
    """(300, 2, 6, 8): three images share a mask, two are bright; all other masks differ."""
    made = np.random.default_rng(0).integers(0, 5, (300, 2, 6, 8)).astype(np.uint8)
    made[list(ALIENS), 1] = made[4, 1]
    made[list(BRIGHT), 0] += 200
    return made


def cleaned(description=MARS, **chosen):
    made = pairs()
    raw = RawData(
        description=description,
        images=made[:, 0],
        masks=made[:, 1],
        unlabelled=None,
        pixels=plain_format(made.dtype),
    )
    return clean(raw, dataclasses.replace(SOURCE, **chosen))


def by_reason(found) -> dict[str, tuple[int, ...]]:
    return {pairs.reason: pairs.indices for pairs in found}


def test_by_default_the_rules_drop():
    found = cleaned()
    assert by_reason(found.dropped) == {SHARED: ALIENS, MEAN: BRIGHT}
    assert found.doubtful == ()
    assert np.array_equal(found.raw.masks, np.delete(pairs()[:, 1], [*ALIENS, *BRIGHT], axis=0))
    assert np.array_equal(found.raw.images, np.delete(pairs()[:, 0], [*ALIENS, *BRIGHT], axis=0))


def test_outliers_are_kept_if_asked():
    found = cleaned(keep_outliers=True)
    assert found.dropped == ()
    assert by_reason(found.doubtful) == {SHARED: ALIENS, MEAN: BRIGHT}
    assert len(found.raw.images) == 300


def test_the_rules_look_at_what_the_list_leaves():
    """Of the three images with one mask the list drops one: two may show one scene."""
    found = cleaned(drop_list=(0, 8, 299))
    assert by_reason(found.dropped) == {"are in the drop list": (0, 8, 299), MEAN: BRIGHT}
    assert np.array_equal(found.raw.masks, np.delete(pairs()[:, 1], [0, 8, 299, *BRIGHT], axis=0))


def test_only_listed_images_are_dropped_if_outliers_are_kept():
    found = cleaned(drop_list=(1, 30), keep_outliers=True)
    assert by_reason(found.dropped) == {"are in the drop list": (1, 30)}
    assert by_reason(found.doubtful) == {SHARED: ALIENS, MEAN: (31,)}
    assert len(found.raw.images) == 298


def test_the_limits_are_those_of_what_the_list_leaves():
    """Two bright images are a hundredth of 200 images, and more than one of 199."""
    two = DataDescription(class_names=tuple("abcde"), ignored_label=None)
    for listed, dropped in ((range(200, 300), {MEAN: BRIGHT}), (range(199, 300), {})):
        found = cleaned(two, drop_list=tuple(listed))
        assert by_reason(found.dropped) == {"are in the drop list": tuple(listed), **dropped}


@pytest.mark.parametrize("wrong", [300, 10**17, -1])
def test_an_image_that_does_not_exist_is_named(wrong):
    with pytest.raises(NoSuchImageError) as refused:
        cleaned(drop_list=(3, wrong))
    assert refused.value.entry == wrong
    assert str(refused.value) == f"image {wrong} cannot be dropped: d.npz has the images 0 to 299"


def test_a_list_of_every_image_is_refused():
    with pytest.raises(ValueError, match=r"^d\.npz: all 300 images are in the drop list$"):
        cleaned(drop_list=tuple(range(300)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "d.npz", training_set=pairs(), **MARS_KEYS)
    return tmp_path / "d.npz"


def test_each_cleaning_is_data_of_its_own(file, tmp_path):
    sources = [
        DataSource(uri=str(file), keep_outliers=kept, drop_list=listed)
        for kept in (False, True)
        for listed in ((), (1,), (1, 2))
    ]
    prepared = [prepare(source, cache=tmp_path / "cache") for source in sources]
    assert [len(data.images) for data in prepared] == [295, 294, 293, 300, 299, 298]
    assert len({data.fingerprint for data in prepared}) == 6
    again = [prepare(source, cache=tmp_path / "cache") for source in sources]
    assert [data.folder for data in again] == [data.folder for data in prepared]


def test_the_summary_leads_to_a_list_that_drops_the_doubtful_images_too(file, tmp_path):
    source = DataSource(uri=str(file), keep_outliers=True, drop_list=(7,))
    report = prepare(source, cache=tmp_path / "cache").report
    assert report.summary().splitlines()[3:] == [
        "  dropped 1 images that are in the drop list (indices 7)",
        f"  warning: kept 3 images that {SHARED} (indices 4, 8, 9); outliers are kept as asked",
        f"  warning: kept 2 images that {MEAN} (indices 30, 31); outliers are kept as asked",
        f"  to drop the images that were kept with a warning: --drop-list {report.doubtful_list}",
    ]
    listed = tuple(read_drop_list(report.doubtful_list))
    assert listed == (4, 7, 8, 9, 30, 31)
    longer = prepare(dataclasses.replace(source, drop_list=listed), cache=tmp_path / "cache")
    assert len(longer.images) == 294
    assert longer.report.doubtful_list is None


@pytest.fixture
def named(tmp_path):
    """Returns the data of 40 named images, one of which is bright, without those that are listed."""

    def prepared(*listed: int | str):
        rng = np.random.default_rng(0)
        images, masks = rng.integers(100, 110, (40, 4, 4)), rng.integers(0, 2, (40, 4, 4))
        images[[5, 6]] = 250
        names = [f"sol {index}.png" for index in range(38)] + ["3", "a # b"]
        np.savez(tmp_path / "named.npz", images=images.astype(np.uint8), masks=masks, names=names)
        source = DataSource(uri=str(tmp_path / "named.npz"), drop_list=listed)
        return prepare(source, cache=tmp_path / "cache")

    return prepared


def test_images_are_dropped_by_name(named):
    data = named(4, "sol 2.png", "a # b")
    assert data.dropped == (Flagged(reason=LISTED, indices=(2, 4, 39), names=("sol 2.png", "sol 4.png", "a # b")),)
    assert len(data.images) == 37
    assert "sol 2.png" not in (data.names or ())
    assert "  dropped 3 images that are in the drop list (sol 2.png, sol 4.png, a # b)" in data.report.summary()
    assert named(3).dropped[0].names == ("3",)  # a name, and not the index of another image
    assert named("03", 2).dropped[0].indices == (2, 3)


def test_the_longer_list_has_names(named):
    report = named("a # b").report
    assert "(sol 5.png, sol 6.png)" in report.summary()
    listed = read_drop_list(report.doubtful_list)
    assert list(listed) == ["a # b", "sol 5.png", "sol 6.png"]
    assert named(*listed).dropped[0].indices == (5, 6, 39)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ("sol 04.png", r"named\.npz has no image of this name; did you mean sol \d+\.png\?$"),
        ("nothing like it", r"named\.npz has no image of this name$"),
        (40, r"named\.npz has the images 0 to 39$"),
        ("040", r"named\.npz has the images 0 to 39$"),
        (-1, r"named\.npz has the images 0 to 39$"),
    ],
)
def test_a_name_that_no_image_has_is_refused(wrong, rule, named):
    with pytest.raises(NoSuchImageError, match=rf"^image {wrong} cannot be dropped: .*{rule}") as refused:
        named(3, wrong)
    assert refused.value.entry == wrong


def test_images_without_names_have_indices():
    with pytest.raises(NoSuchImageError, match=r"the images of .* have no names; list them by their indices, 0 to 299"):
        cleaned(drop_list=("a.png",))
