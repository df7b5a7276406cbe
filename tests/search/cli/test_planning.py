"""What a plan refuses, before anything is written. `tests/integration/test_bad_input.py` asks the real command."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from rich.console import Console

from search.cli.options.search_parser import parse
from search.cli.planning import find_study, make_plan
from search.cli.prepared_data import prepared_data
from search.ledger.ledger import Ledger
from search.ray_cluster.capacity import ClusterSize
from search.sampling.portfolio import portfolio_points
from search.study.space_record import described

QUIET = Console(quiet=True)
HERE = ClusterSize(fixed=[{"CPU": 2.0}])


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plans a search on a cluster of that size."""
    monkeypatch.chdir(tmp_path)

    def make(*arguments, size=HERE, console=QUIET):
        options = parse(arguments)
        data = prepared_data(options)
        return make_plan(console, options, size, find_study(options, data))

    return make


@pytest.fixture
def study_of(tmp_path_factory):
    """Returns a data file, `made.npz`, of so many images of that size."""

    def make(size, count):
        rng = np.random.default_rng(0)
        path = tmp_path_factory.mktemp("data") / "made.npz"
        masks = rng.integers(0, 3, (count, *size)).astype(np.uint8)
        np.savez(path, images=rng.integers(0, 256, (count, *size)).astype(np.uint8), masks=masks)
        return str(path)

    return make


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cpus-per-trial", "4096"], "a trial needs 4096 CPU but the cluster has 2"),
        (["--gpus-per-trial", "0.5", "--cpus-per-trial", "1"], "a trial needs 0.5 GPU but the cluster has 0"),
        (["--gpus-per-trial", "auto"], "--gpus-per-trial auto: the cluster has no GPU that trials could share"),
        (["--gpu-hours", "1"], "--gpu-hours: trials use no GPU here; use --time-budget or --epochs-budget instead"),
        (["--grace-epochs", "10000"], "--grace-epochs 10000 is greater than --max-epochs 12"),
        (
            ["--workers-per-trial", "1:9", "--profile", "cpu"],
            "--workers-per-trial: the smallest batch has 8 images, too few for 9 workers: give at most 8",
        ),
        (
            ["--systems", "a-ce", "--set", "model.width=0"],
            r"--set model.width=0: not valid for system a-ce \(ModelConfig.width = 0: must be a whole",
        ),
        (["--systems", "a-ce", "--set", "model.colour=1"], "unknown configuration key 'model.colour'"),
        (["--systems", "a-ce", "--set", "training.max_epochs=2"], "use its own option instead, --max-epochs"),
        (["--start-from", "gone"], "--start-from gone: no study there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_refused(arguments, message, plan, tmp_path):
    with pytest.raises(ValueError, match=message):
        plan(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_trials_take_what_a_node_has_room_for(plan):
    nodes = ClusterSize(fixed=[{"CPU": 4.0, "GPU": 1.0}, {"CPU": 4.0}])
    found = plan("--gpus-per-trial", "0.5", "--cpus-per-trial", "1", size=nodes)
    assert (found.settings.profile, found.concurrent) == ("gpu", 2)
    assert plan("--gpus-per-trial", "0", "--cpus-per-trial", "1", size=nodes).concurrent == 8
    assert plan("--max-concurrent", "3", "--gpus-per-trial", "0", size=nodes).concurrent <= 3
    assert plan("--workers-per-trial", "2", "--gpus-per-trial", "0", size=nodes).launcher.processes == 2


@pytest.mark.parametrize("name", ["ledger.journal", "driver.json", "checkpoints", "trials"])
def test_a_study_with_a_link_is_refused_and_nothing_is_written_behind_it(name, plan, tmp_path):
    """A folder that came from somebody else may lead to files of whoever runs the search."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "runs" / "sample").mkdir(parents=True)
    (tmp_path / "runs" / "sample" / name).symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match=rf"^runs/sample/{name}: is a symbolic link, .*: remove it$"):
        plan()
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "decay"),
    [([], 0.99), (["--ema-decay", "0"], None), (["--ema-decay", "0.9"], 0.9), (["--systems", "a-ce"], None)],
)
def test_weights_are_averaged_unless_told_otherwise(arguments, decay, plan):
    assert plan(*arguments).settings.ema_decay == decay


def test_a_new_search_begins_with_the_portfolio(plan):
    assert list(plan().first) == portfolio_points(plan().space)
    assert plan("--no-portfolio").first == ()
    assert plan("--start-from", "systems").first != plan().first


def test_the_plan_says_what_is_cropped(plan):
    out = io.StringIO()
    settings = plan("--crop", "32x64", "--dry-run", console=Console(file=out, width=200)).settings
    assert settings.crop == [32, 64]
    assert settings.data_source.crop == (32, 64)
    said = out.getvalue()
    assert re.search(
        r"^crops +32x64 pixels; those of an epoch have about as many pixels as the images *$", said, re.MULTILINE
    )
    whole = plan(console=Console(file=(plain := io.StringIO()), width=200)).settings
    assert (whole.crop, whole.data_source.crop) == (None, None)
    assert "crops" not in plain.getvalue()


def test_a_study_that_began_before_there_were_crops_continues_on_whole_images(plan, study_of, tmp_path):
    old = ("--data", study_of((260, 270), 12), "--keep-outliers")
    assert plan(*old).settings.crop == [256, 256]
    began = plan(*old, "--crop", "260x270").settings
    assert began.crop is None
    ledger = Ledger.create(tmp_path / "runs" / "made")
    ledger.settings = began.to_dict()
    ledger.space = described(plan(*old).space)
    ledger.close()
    assert "crop" not in began.to_dict()  # as earlier versions recorded it
    options = parse(old)
    study = find_study(options, prepared_data(options))
    assert study.data.whole
    assert study.data.crop == (260, 270)
    assert plan(*old).settings == began
    with pytest.raises(ValueError, match=r"crop was None, is now \[64, 64\]"):
        plan(*old, "--crop", "64x64")


def test_the_plan_says_how_the_data_is_cleaned(plan, tmp_path):
    (tmp_path / "drop.txt").write_text("9\n3\n")
    out = io.StringIO()
    options = ("--keep-outliers", "--drop-list", "drop.txt", "--dry-run")
    settings = plan(*options, console=Console(file=out, width=200)).settings
    assert (settings.keep_outliers, settings.drop_list) == (True, [3, 9])
    assert re.search(r"^cleaning +outliers are kept; the drop list names 2 images *$", out.getvalue(), re.MULTILINE)
    plan(console=Console(file=(plain := io.StringIO()), width=200))
    assert "cleaning" not in plain.getvalue()


def test_the_profile_has_the_sizes_that_suit_the_data(plan, tmp_path, study_of):
    found = plan("--data", study_of((16, 24), 30)).settings
    assert (found.profile, found.depths, found.batch_sizes) == ("cpu", [2, 3], [4, 8, 16])
    space = {parameter.name: parameter.choices for parameter in found.search_space().parameters}
    assert (space["model.depth"], space["training.batch_size"]) == ((2, 3), (4, 8, 16))
    asked = plan("--data", study_of((16, 24), 30), "--profile", "cpu").settings
    assert (asked.depths, asked.batch_sizes) == (None, None)
    assert (plan().settings.depths, plan().settings.batch_sizes) == (None, None)  # the sample


@pytest.mark.parametrize("profile", ["auto", "cpu"])
@pytest.mark.parametrize("recorded", [{}, {"depths": [2], "batch_sizes": [8, 16]}])
def test_a_study_keeps_the_sizes_that_it_began_with(profile, recorded, plan, tmp_path, study_of):
    """Also one of an earlier version, which has recorded none, and whichever way the profile is given."""
    data = study_of((16, 24), 30)
    settings = dataclasses.replace(plan("--data", data).settings, **{"depths": None, "batch_sizes": None} | recorded)
    (tmp_path / "runs" / "made").mkdir(parents=True)
    ledger = Ledger.create(tmp_path / "runs" / "made", None, print)
    ledger.settings = settings.to_dict()
    ledger.close()
    assert plan("--data", data, "--profile", profile).settings == settings


@pytest.mark.parametrize(
    ("arguments", "metric", "classes"),
    [
        ((), "mean_iou", None),
        (("--metric", "dice"), "dice", None),
        (("--score-classes", "sand,soil"), "mean_iou", ["soil", "sand"]),
        (("--score-classes", "soil"), "class_iou:soil", None),
        (("--score-classes", "soil,bedrock,sand,big rock"), "mean_iou", None),
    ],
)
def test_the_score_is_recorded_in_one_form(arguments, metric, classes, plan):
    found = plan(*arguments).settings
    assert (found.metric, found.score_classes) == (metric, classes)


def test_a_dry_run_says_why_the_sizes_suit_the_data(plan, study_of):
    console = Console(file=io.StringIO(), width=200)
    plan("--data", study_of((16, 24), 30), "--dry-run", console=console)
    said = console.file.getvalue()
    assert "depths 2/3: more halvings of the shorter side, 16 pixels, would leave less than 2" in said
    assert "batch sizes 4/8/16: the train part has 24 images" in said
