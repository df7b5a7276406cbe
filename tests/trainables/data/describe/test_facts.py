"""The summary of a data set, and the command that prints it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.data import DataSource, prepare
from trainables.data.describe.__main__ import main
from trainables.data.describe.facts import MOST_IMAGES, object_areas, summarise

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 16, 24, 3)).astype(np.uint8)
MASKS = np.ones((30, 16, 24), np.uint8)
MASKS[:, 0, :6] = 0
MASKS[:, 4:8, 4:9] = 2
MASKS[3, 12, 20] = 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made.npz"
    np.savez(path, images=IMAGES, masks=MASKS, class_names=np.array(["void", "soil", "rock"]), ignored_label=0)
    return path


def test_facts_are_those_of_the_arrays(file):
    data = prepare(DataSource(uri=str(file), keep_outliers=True))
    found = summarise(data)
    assert (found.images, found.train_images, found.looked_at) == (30, len(data.split["train"]), 30)
    assert found.sizes.tolist() == [[16, 24]] * 30
    stored = np.asarray(data.images).reshape(-1, 3)
    for channel, facts in enumerate(found.intensities):
        each = stored[:, channel].astype(float)
        assert facts == pytest.approx((each.min(), each.max(), each.mean(), each.std()))
    assert found.class_shares["rock"] == pytest.approx((MASKS == 2).mean())
    rock = found.objects["rock"]
    assert (rock.count, rock.smallest, rock.median) == (31, 1, 20)
    assert found.objects.keys() == {"soil", "rock"}


def test_diagonal_neighbours_are_one_object():
    mask = np.zeros((4, 6), np.uint8)
    mask[[0, 1, 3], [0, 1, 5]] = 1
    assert object_areas(mask, None) == {0: [21], 1: [2, 1]}
    assert object_areas(mask, 0) == {1: [2, 1]}


def test_of_many_images_a_sample_is_looked_at_always_the_same():
    sample = prepare(DataSource(uri="sample"))
    assert len(sample.images) > MOST_IMAGES
    found = summarise(sample)
    assert found.looked_at == MOST_IMAGES
    assert found.lines() == summarise(sample).lines()
    assert "are those of 256 images, drawn at random" in found.lines()[-1]


def test_the_command_prints_facts_and_proposal(file, capsys):
    assert main([str(file), "--seed", "1"]) == 0
    said = capsys.readouterr().out
    assert "30 labelled images of 16x24" in said
    assert "class rock: 5.22% of the pixels, 31 objects, the smallest of 1 pixels, median 20" in said
    assert "depths 2/3: more halvings of the shorter side, 16 pixels, would leave less than 2" in said
    assert "batch sizes 8/16: " not in said
    assert "the train part has 24 images" in said


def test_the_command_refuses_in_a_line(tmp_path, capsys):
    assert main([str(tmp_path / "gone")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'gone'}: no such file or folder")
