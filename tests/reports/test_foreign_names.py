"""Class names of every kind in a whole report: page, figures, files and terminal."""

from __future__ import annotations

import csv
import dataclasses
import html
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from pyarrow import parquet

from reports.command import run
from reports.options import parser
from search.foreign_text import distinct_names
from search.formatting import clean
from search.ledger.ledger import Ledger
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.views.tensorboard_log import TensorBoardLogger
from tests.made.studies import begin, study_settings
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import epochs

NAMES = (
    "void",
    "price $5\\foo$ $a_b$",
    "[/red]x [bold]",
    "<script>alert(1)</script>",
    "</svg>]]>&\"'--><img src=x onerror=alert(3)>",
    "a\x0bb\x1b[2J",
    "lone \ud800 surrogate",
    "lone \ud801 surrogate",
    '=1+1, "quoted"\nand a second line',
    "砂 línea ß",
    "long " + 295 * "x",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A trial on data with these classes, the first of which is ignored."""
    root = tmp_path_factory.mktemp("foreign")
    masks = np.random.default_rng(0).integers(0, len(NAMES), (24, 4, 6)).repeat(4, axis=1).repeat(4, axis=2)
    pairs = np.stack([masks * 20 + 20, masks], axis=1).astype(np.uint8)
    np.savez(root / "odd.npz", training_set=pairs, class_names=np.array(NAMES), ignored_label=0)
    data = prepare(DataSource(uri=str(root / "odd.npz")), cache=root / "cache")
    folder, space = root / "study", unet_space(PROFILES["cpu"])
    settings = study_settings(data=str(root / "odd.npz"), fingerprint=data.fingerprint, max_epochs=1)
    ledger = Ledger.create(folder)
    ledger.settings = dataclasses.asdict(settings)
    config = TrialConfig.from_flat(begin(ledger, space, max_epochs=1).config)
    store = checkpoint_store(settings.checkpoint_root(folder), 0)
    board = TensorBoardLogger(folder, space, [NAMES[label] for label in data.present_labels])
    board.trial_started(ledger.record(0))
    for report in epochs(config, data, train=data.split["train"], validation=data.split["val"], checkpoints=store):
        ledger.add_epoch(0, report)
        board.epoch_ended(ledger.record(0), report)
    ledger.complete(0)
    board.trial_ended(ledger.record(0))
    return folder


@pytest.fixture(scope="module")
def page(study):
    run(parser().parse_args([str(study), "--no-submission", "--no-onnx"]))
    return (study / "report" / "report.html").read_text(encoding="utf-8")


def test_the_page_has_every_name_and_nothing_that_acts(page):
    for name in NAMES[1:]:
        assert str(html.escape(clean(name))).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    assert not re.findall("<script|<img src=x", page)
    assert not re.findall("[\x00-\x08\x0b\x1b]", page)


def test_the_figures_are_well_formed(page):
    figures = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 4
    for figure in figures:
        ET.fromstring(figure)


def test_the_files_have_a_column_for_each_class(page, study):
    with (study / "report" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    expected = [f"iou {shown}" for shown in list(distinct_names(NAMES).values())[1:]]
    assert [column for column in columns if column.startswith("iou ")] == expected
    assert columns == parquet.read_table(study / "report" / "leaderboard.parquet").column_names


def test_tensorboard_has_a_tag_for_each_class(study):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(study / "trials" / "0000"))
    accumulator.Reload()
    tags = {tag for tag in accumulator.Tags()["scalars"] if tag.startswith("iou/")}
    assert tags <= {f"iou/{shown}" for shown in distinct_names(NAMES[1:]).values()}
    assert len(tags) > len(NAMES) // 2  # those that the validation part holds


def test_the_terminal_shows_names_as_text(study, capsys):
    run(parser().parse_args([str(study), "--no-submission", "--no-onnx"]))
    output = capsys.readouterr().out
    assert "[/red]x [bold]" in output
    assert "\x1b" not in output
    output.encode()
