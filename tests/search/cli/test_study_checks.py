"""What a study must agree with: before anything is written, and again once its driver holds it."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from search.cli.options.option_types import Workers
from search.cli.options.search_parser import parse
from search.cli.planning import find_study, make_plan
from search.cli.study_checks import check_same_study, check_storage, check_systems, check_workers
from search.ledger.ledger import Ledger
from search.locking.folder_lock import study_lock
from search.ray_cluster.capacity import ClusterSize
from search.study.profiles import PROFILES
from search.study.space import Space
from search.study.space_record import described
from search.study.systems import SYSTEMS
from tests.made.studies import begin, study_settings
from trainables.data import DataSource, prepare
from trainables.training.checkpoint_store import CheckpointStore


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Finds and plans a search of the sample, as the command does before it holds the study."""
    monkeypatch.chdir(tmp_path)

    def make(*arguments):
        options = parse(["--name", "mars", *arguments])
        data = prepare(DataSource(uri="sample"))
        study = find_study(options, data)
        return make_plan(Console(quiet=True), options, ClusterSize(fixed=[{"CPU": 2.0}]), study)

    return make


def record(ledger, plan):
    """What a run records first."""
    check_same_study(ledger, plan.settings, plan.space, plan.folder.name)
    ledger.settings, ledger.space = asdict(plan.settings), described(plan.space)


def test_settings_that_another_driver_recorded_meanwhile_are_not_overwritten(planned):
    mine = planned("--max-epochs", "3")  # there is no study yet
    others = planned("--max-epochs", "9", "--grace-epochs", "1")
    with study_lock(others.folder):
        record(Ledger.create(others.folder), others)
    with study_lock(mine.folder):
        ledger = Ledger.create(mine.folder)
        with pytest.raises(ValueError, match=r"'mars' exists with other settings \(max_epochs was 9, is now 3; grace"):
            record(ledger, mine)
        with pytest.raises(ValueError, match="'mars' exists with other settings: max_epochs, grace_epochs"):
            ledger.settings = asdict(mine.settings)
    assert Ledger.open(mine.folder).settings["max_epochs"] == 9
    with pytest.raises(ValueError, match="max_epochs was 9, is now 3"):
        planned("--max-epochs", "3")


def test_the_data_of_a_study_may_move(planned):
    plan = planned()
    ledger = Ledger.create(plan.folder)
    record(ledger, plan)
    ledger.settings = asdict(plan.settings) | {"data": "elsewhere"}
    assert Ledger.open(plan.folder).settings["data"] == "elsewhere"
    planned()


def test_a_setting_that_is_no_more_hinders_nothing(planned):
    plan = planned()
    ledger = Ledger.create(plan.folder)
    ledger.settings = asdict(plan.settings) | {"former": 1}
    record(ledger, planned())
    assert Ledger.open(plan.folder).settings == asdict(plan.settings)


def test_a_study_whose_space_has_changed_is_refused_with_the_parameters(planned, monkeypatch):
    plan = planned()
    record(Ledger.create(plan.folder), plan)
    planned()
    loss = next(parameter for parameter in plan.space.parameters if parameter.name == "loss.name")
    more = dataclasses.replace(loss, choices=(*loss.choices, "new"))
    grown = [more if parameter is loss else parameter for parameter in plan.space.parameters]
    monkeypatch.setattr("search.study.settings.StudySettings.search_space", lambda settings: Space(tuple(grown)))
    expected = r"study 'mars' exists with another space \(loss.name was cross_entropy | .*, is now .* | new\)"
    with pytest.raises(ValueError, match=expected):
        planned()
    other = dataclasses.replace(plan, space=Space(tuple(grown)))
    with pytest.raises(ValueError, match=expected):
        record(Ledger.open(plan.folder), other)


def test_a_renamed_study_goes_on_where_its_checkpoints_are(planned, tmp_path):
    storage = f"file://{tmp_path}/store?x=1"
    first = planned("--storage", storage)
    assert first.settings.checkpoints == f"file://{tmp_path}/store/mars/checkpoints?x=1"
    ledger = Ledger.create(first.folder)
    record(ledger, first)
    begin(ledger, first.space)
    Path("runs/mars").rename("runs/mars-2026")
    renamed = planned("--storage", storage, "--name", "mars-2026")
    assert renamed.settings == first.settings
    assert renamed.folder == Path("runs/mars-2026")
    with pytest.raises(ValueError, match=r"checkpoints was 'file.*/store/mars/.*', is now 'file.*/other/mars-2026/"):
        planned("--storage", f"file://{tmp_path}/other?x=1", "--name", "mars-2026")
    with pytest.raises(ValueError, match=r"checkpoints was .*, is now 'checkpoints'"):
        planned("--name", "mars-2026")


@pytest.mark.parametrize(
    "recorded", ["checkpoints", "file:///elsewhere/mars/checkpoints", "file://{}/store/a/b/checkpoints"]
)
def test_only_the_name_in_a_place_is_a_label(recorded, planned, tmp_path):
    ledger = Ledger.create(Path("runs/mars"))
    plan = planned("--storage", f"file://{tmp_path}/store")
    ledger.settings = asdict(plan.settings) | {"checkpoints": recorded.format(tmp_path)}
    with pytest.raises(ValueError, match=r"exists with other settings \(checkpoints was"):
        planned("--storage", f"file://{tmp_path}/store")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_left_as_it_was(number, planned, tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(number, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    expected = rf"^--storage: the file system of {tmp_path} does not support locks \(Function not implemented\), .*"
    with pytest.raises(ValueError, match=expected):
        planned("--storage", str(tmp_path / "runs"))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    check_storage(tmp_path / "runs" / "mars", None)


def test_looking_at_a_place_touches_nothing_that_lies_there(tmp_path):
    place = f"file://{tmp_path}/store/mars/checkpoints"
    CheckpointStore(place).save("best", {})
    CheckpointStore(f"{place}/0001").save("best", {})
    (tmp_path / "store/mars/checkpoints/study.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    check_storage(tmp_path / "mars", place)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ValueError, match="--storage: cannot write to file:///proc/none"):
        check_storage(tmp_path / "mars", "file:///proc/none")


def test_a_study_that_has_just_begun_takes_any_settings(planned):
    plan = planned()
    check_same_study(Ledger.create(plan.folder), study_settings(seed=5), plan.space, "mars")


def test_a_place_is_tried_once_without_pauses(tmp_path, monkeypatch):
    made = []

    class Noted(CheckpointStore):
        def __init__(self, uri, pauses=(3600.0,)):
            made.append(pauses)
            super().__init__(uri, pauses)

    monkeypatch.setattr("search.cli.study_checks.CheckpointStore", Noted)
    check_storage(tmp_path / "mars", str(tmp_path / "store"))
    assert set(made) == {()}


def test_a_folder_that_takes_no_file_is_named(tmp_path, monkeypatch):
    def fails(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("search.cli.study_checks.tempfile.TemporaryFile", fails)
    expected = f"^--storage: cannot write to {tmp_path} \\(Permission denied\\)$"
    with pytest.raises(ValueError, match=expected):
        check_storage(tmp_path / "mars" / "deep", None)


@pytest.mark.parametrize(
    ("background", "ignored_label", "refused"), [(True, None, True), (True, 0, False), (False, None, False)]
)
def test_a_network_for_the_ignored_label_needs_one(background, ignored_label, refused):
    system = next(
        name for name, one in SYSTEMS.items() if (one.config.get("model.background", "none") != "none") == background
    )
    data = SimpleNamespace(name="x.npz", description=SimpleNamespace(ignored_label=ignored_label))
    settings = study_settings(space="systems", systems=[system])
    with pytest.raises(ValueError, match=r"x\.npz has no ignored label") if refused else nullcontext():
        check_systems(settings, data)


def test_no_more_workers_than_the_smallest_batch_has_images(monkeypatch):
    data = prepare(DataSource(uri="sample"))
    settings = study_settings(profile="cpu")
    smallest = min(PROFILES["cpu"].batch_sizes)
    check_workers(Workers(least=1, most=smallest), settings, data)
    expected = f"the smallest batch has {smallest} images, too few for {smallest + 1} workers: give at most"
    with pytest.raises(ValueError, match=expected):
        check_workers(Workers(least=1, most=smallest + 1), settings, data)
