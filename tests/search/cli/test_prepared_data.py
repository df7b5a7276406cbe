from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.cli.options.search_parser import parse
from search.cli.prepared_data import prepared_data
from trainables.data import PreparedData


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Prepares 40 images of two classes, with options and the content of a drop list."""
    monkeypatch.chdir(tmp_path)
    pairs = np.random.default_rng(0).integers(0, 2, (40, 2, 4, 4)).astype(np.uint8)
    np.savez("d.npz", training_set=pairs)

    def prepare(*options: str, listed: str | None = None) -> PreparedData:
        if listed is not None:
            Path("drop.txt").write_text(listed)
            options = (*options, "--drop-list", "drop.txt")
        return prepared_data(parse(["--data", "d.npz", *options]))

    return prepare


def test_the_options_are_the_source(prepared):
    data = prepared("--keep-outliers", "--seed", "3", listed="7\n2\n7\n")
    assert len(data.images) == 38
    source = data.source
    assert (source.uri, source.seed, source.keep_outliers, source.drop_list) == ("d.npz", 3, True, (2, 7))
    source = prepared().source
    assert (source.keep_outliers, source.drop_list) == (False, ())


def test_crops_are_no_larger_than_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = np.random.default_rng(0).integers(0, 2, (20, 2, 40, 60)).astype(np.uint8)
    np.savez("d.npz", training_set=pairs)
    for given, crop, whole in (("16x60", (16, 60), False), ("40x60", (40, 60), True), ("auto", (40, 60), True)):
        data = prepared_data(parse(["--data", "d.npz", "--crop", given]))
        assert (data.crop, data.whole) == (crop, whole)
    with pytest.raises(ValueError, match=r"^--crop 41x60: the images of d\.npz have at most 40x60 pixels"):
        prepared_data(parse(["--data", "d.npz", "--crop", "41x60"]))


@pytest.mark.parametrize("wrong", ["256", "15x64", "64x15", "64*64", "-64x64", "64x64x3", ""])
def test_a_size_of_crops_is_a_height_and_a_width(wrong, capsys):
    with pytest.raises(SystemExit):
        parse([f"--crop={wrong}"])
    assert "is neither auto nor a height and a width of at least 16 pixels, such as 256x256" in capsys.readouterr().err


def test_an_image_that_the_data_does_not_have_is_named_with_its_line(prepared):
    with pytest.raises(ValueError) as refused:
        prepared(listed="# mistakes\n3\n40 # the last one?\n")
    assert str(refused.value) == "drop.txt, line 3: image 40 cannot be dropped: d.npz has the images 0 to 39"


def test_what_the_list_leaves_must_be_usable(prepared):
    with pytest.raises(ValueError, match=r"9 images are too few .*; 31 were dropped: they are in the drop list"):
        prepared(listed="\n".join(map(str, range(31))))
    with pytest.raises(ValueError, match=r"^d\.npz: all 40 images are in the drop list$"):
        prepared(listed="\n".join(map(str, range(40))))


def test_a_single_scored_class_is_refused(prepared):
    pairs = np.ones((40, 2, 4, 4), np.uint8)
    np.savez("d.npz", training_set=pairs)
    with pytest.raises(ValueError) as refused:
        prepared()
    assert str(refused.value) == (
        "d.npz: the masks hold a single scored class, 1, so that every model would score 1.0: label a second class"
    )
