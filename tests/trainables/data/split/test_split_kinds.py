"""The split that a user chooses, and the groups of every kind of source."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.made.layouts import LAYOUTS, png, write_files
from trainables.data import DataSource, PreparedData, prepare
from trainables.data.convert import convert
from trainables.data.split import split

COUNT = 24
KEYS = [f"site {index // 4}" for index in range(COUNT)]
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(256, size=(COUNT, 12, 16), dtype=np.uint8)
MASKS = RNG.integers(3, size=(COUNT, 12, 16), dtype=np.uint8)


def write_table(file: Path, *columns: str) -> None:
    """Write a CSV table of all images with some of the columns name, part and group."""
    values = {
        "name": [f"{index:03}.png" for index in range(COUNT)],
        "part": ["train", "val", "test", "train"] * (COUNT // 4),
        "group": KEYS,
    }
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(columns)
        rows.writerows(zip(*(values[column] for column in columns), strict=True))


def folder_with(*tables: tuple[str, tuple[str, ...]]) -> Callable[[Path], str]:
    def write(root: Path) -> str:
        uri = write_files(root, IMAGES, MASKS, png)
        for name, columns in tables:
            write_table(root / name, *columns)
        return uri

    return write


def arrays(root: Path) -> str:
    np.savez(root / "d.npz", images=IMAGES, masks=MASKS, groups=KEYS)
    return str(root / "d.npz")


def competition(root: Path) -> str:
    numbers = np.arange(COUNT) // 4
    np.savez(root / "d.npz", training_set=np.stack([IMAGES, MASKS], axis=1), groups=numbers)
    return str(root / "d.npz")


def table(root: Path) -> str:
    uri = LAYOUTS["parquet"](root, IMAGES, MASKS)
    (file,) = Path(uri).rglob("*.parquet") if Path(uri).is_dir() else [Path(uri)]
    parquet.write_table(parquet.read_table(file).append_column("group", pa.array(KEYS)), file)
    return uri


def coco(root: Path) -> str:
    uri = LAYOUTS["coco"](root, IMAGES, MASKS)
    (file,) = Path(uri).rglob("*.json") if Path(uri).is_dir() else [Path(uri)]
    content = json.loads(file.read_text())
    for image, key in zip(content["images"], KEYS, strict=True):
        image["group"] = key
    file.write_text(json.dumps(content))
    return uri


GIVEN = {
    "groups.csv": folder_with(("groups.csv", ("name", "group"))),
    "split.csv": folder_with(("split.csv", ("name", "part", "group"))),
    "arrays": arrays,
    "competition": competition,
    "parquet": table,
    "coco": coco,
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PreparedData]:
    """Prepares the source that a function writes, with options of `DataSource`."""
    (tmp_path / "source").mkdir()

    def made(write: Callable[[Path], str], **options) -> PreparedData:
        uri = write(tmp_path / "source")
        return prepare(DataSource(uri=uri, keep_outliers=True, **options), cache=tmp_path / "cache")

    return made


@pytest.mark.parametrize("kind", GIVEN)
def test_given_groups_stay_together(kind, make):
    data = make(GIVEN[kind], split="grouped", seed=3)
    sites = [{KEYS[index] for index in indices} for indices in data.split.values()]
    assert sum(map(len, sites)) == len(set().union(*sites)) == 6
    assert data.report.split_name == "split 80/10/10 by groups"
    assert "  split by groups (given by the data): 6 groups, the largest of 4 images" in data.report.summary()
    ignored = "  the data's own split is ignored (--split grouped)"
    assert (ignored in data.report.summary()) == (kind == "split.csv")


def test_groups_of_single_images_are_said_to_be_a_random_split(make):
    data = make(GIVEN["split.csv"], split="grouped", group_pattern=".+")
    assert f"{len(data.images)} groups, each of one image, so the split is random" in data.report.summary()


def test_groups_follow_a_dropped_image(make):
    data = make(arrays, split="grouped", drop_list=(0, 1, 2, 3, 4))
    assert "5 groups, the largest of 4 images" in data.report.summary()
    for indices in data.split.values():
        assert {0, 1, 2} <= set(indices.tolist()) or not {0, 1, 2} & set(indices.tolist())  # site 1 without its first


@pytest.mark.parametrize(
    ("pattern", "groups"), [(r"(\d)\d\.png", 3), (r"\d\d(?=\d\.png)", 3), (r"(00\d)\.png", 24), (r"/0(\d)[0-4]", 13)]
)
def test_groups_by_the_names(pattern, groups, make):
    data = make(folder_with(), split="grouped", group_pattern=pattern)
    assert f"by the names, {pattern}" in data.report.summary()
    assert f": {groups} groups, " in data.report.summary()
    lonely = "; 10 images that it does not match are groups of their own, such as images/005.png): 13 groups"
    assert (lonely in data.report.summary()) == (groups == 13)


def test_a_pattern_must_match_a_name(make):
    with pytest.raises(
        ValueError, match=r"--group-pattern 'x\(y\)' matches no image name; names are such as images/000"
    ):
        make(folder_with(), split="grouped", group_pattern="x(y)")
    with pytest.raises(ValueError, match=r"--group-pattern: its images have no names; .*an array named groups"):
        make(competition, split="grouped", group_pattern="x")


def test_too_few_groups_are_refused_with_the_source(make):
    with pytest.raises(ValueError, match=r"source: all images are in one group, .* --group-pattern, or --split random"):
        make(folder_with(), split="grouped", group_pattern="images")


def test_random_ignores_the_own_split_and_says_so(make):
    own = folder_with(("split.csv", ("name", "part")))
    given, asked, drawn = make(own), make(own, split="given"), make(own, split="random")
    assert given.fingerprint == asked.fingerprint != drawn.fingerprint
    assert given.folder == drawn.folder
    assert (given.chosen_split, asked.chosen_split, drawn.chosen_split) == (None, None, "random")
    assert np.array_equal(given.split["val"], np.arange(1, COUNT, 4))
    counts = np.stack([(drawn.masks == label).sum(axis=(1, 2)) for label in range(3)], axis=1)
    for part, indices in split(counts, 0).items():
        assert np.array_equal(drawn.split[part], indices)
    assert "the data's own split is ignored (--split random)" in drawn.report.summary()
    assert "own split" not in given.report.summary()


def test_the_default_is_random_without_an_own_split(make):
    default, asked = make(folder_with()), make(folder_with(), split="random")
    assert (default.fingerprint, default.chosen_split) == (asked.fingerprint, asked.chosen_split)
    assert asked.chosen_split is None
    with pytest.raises(
        ValueError, match=r"source: --split given: the data has no split of its own .*--split random or"
    ):
        make(folder_with(), split="given")


def test_other_groups_are_other_data(make):
    one = make(folder_with(), split="grouped", group_pattern=r"(\d)\d\.png")
    other = make(folder_with(), split="grouped", group_pattern=r"\d(\d)\.png")
    assert len({one.fingerprint, other.fingerprint, make(folder_with()).fingerprint}) == 3


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (KEYS[:5], r"groups must be 24 strings or whole numbers, one for each image, has shape \(5,\)"),
        (np.zeros(COUNT), r"groups must be 24 strings or whole numbers, .* type float64"),
    ],
)
@pytest.mark.parametrize("layout", ["arrays", "competition"])
def test_unusable_groups_are_refused(groups, message, layout, tmp_path):
    pairs = {"images": IMAGES, "masks": MASKS}
    if layout == "competition":
        pairs = {"training_set": np.stack([IMAGES, MASKS], axis=1)}
    np.savez(tmp_path / "d.npz", groups=groups, **pairs)
    with pytest.raises(ValueError, match=rf"d\.npz: {message}"):
        prepare(DataSource(uri=str(tmp_path / "d.npz")), cache=tmp_path / "cache")


def test_a_list_of_groups_names_every_image(tmp_path):
    write_files(tmp_path, IMAGES, MASKS, png)
    (tmp_path / "groups.csv").write_text("name,group\n000,a\n")
    with pytest.raises(ValueError, match=r"groups\.csv: says no group for 23 images: images/001\.png"):
        prepare(DataSource(uri=str(tmp_path)), cache=tmp_path / "cache")


def test_an_empty_key_is_a_group_of_its_own(tmp_path, make):
    def write(root: Path) -> str:
        np.savez(root / "d.npz", images=IMAGES, masks=MASKS, groups=["", "a", "a", *KEYS[3:22], "", ""])
        return str(root / "d.npz")

    # Three images of their own, a, and the sites 0 (one image), 1 to 4 and 5 (two images).
    assert ": 10 groups, the largest of 4 images" in make(write, split="grouped").report.summary()


def test_groups_are_converted(tmp_path, make):
    source = make(GIVEN["groups.csv"], split="grouped").source
    convert(source, tmp_path / "d.npz")
    with np.load(tmp_path / "d.npz") as archive:
        assert archive["groups"].tolist() == KEYS


def test_a_class_in_too_few_groups_is_named(make, tmp_path):
    masks = MASKS.copy()
    masks[masks == 2] = 1
    masks[4:8, 0, 0] = masks[20, 0, 0] = 2

    def write(root: Path) -> str:
        np.savez(root / "d.npz", images=IMAGES, masks=masks, groups=KEYS)
        return str(root / "d.npz")

    (warning,) = make(write, split="grouped").report.warnings
    assert warning.startswith("class 2 (2) is in too few groups (2) to be in every part: none in ")
