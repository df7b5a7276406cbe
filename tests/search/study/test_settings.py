from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from search.study.profiles import PROFILES
from search.study.settings import LATER, StudySettings, recorded_metric
from search.study.systems import systems_space
from search.study.unet_space import unet_space
from tests.made.records import check_fixed
from tests.made.studies import study_settings
from trainables.config import TrialConfig
from trainables.data import DataSource
from trainables.prediction.metric import MEAN_IOU, Metric


def test_a_study_goes_on_under_the_settings_it_recorded(settings):
    recorded = dataclasses.asdict(settings) | {"data": "the same data elsewhere"}
    settings.check_same(recorded, "s")


def test_other_settings_are_refused_by_name_and_value(settings):
    recorded = dataclasses.asdict(settings) | {"seed": 4, "max_epochs": 5}
    with pytest.raises(
        ValueError, match=r"'s' exists with other settings \(seed was 4, is now 3; max_epochs was 5, is now 9\)"
    ):
        settings.check_same(recorded, "s")


def test_a_study_of_other_cleaning_is_refused_in_a_line(settings):
    recorded = dataclasses.asdict(settings) | {"drop_list": list(range(2000))}
    with pytest.raises(ValueError) as refused:
        dataclasses.replace(settings, keep_outliers=True, drop_list=[4, 6]).check_same(recorded, "s")
    assert str(refused.value) == (
        "study 's' exists with other settings (keep_outliers was False, is now True; drop_list was [0, 1, 2, 3, 4, "
        "...] (2000 values), is now [4, 6]): repeat them to continue it, or give another --name"
    )


def test_the_data_is_cleaned_and_split_as_the_study_did(settings):
    chosen = dataclasses.replace(settings, data="s3://b/d.npz", seed=3, keep_outliers=True, drop_list=[4, 6])
    assert chosen.data_source == DataSource(uri="s3://b/d.npz", seed=3, keep_outliers=True, drop_list=(4, 6))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fingerprint": "aaa-2-3"}, "the data's content changed"),
        ({"fingerprint": "bbb-1-3"}, "the data was prepared in another way, by another version of the software"),
        ({"fingerprint": "bbb-2-4", "seed": 4}, "seed was 4, is now 3"),
        ({"fingerprint": "aaa-2-4", "seed": 4}, "the data's content changed; seed was 4, is now 3"),
        (
            {"fingerprint": "bbb-1-3", "max_epochs": 5},
            "the data was prepared in another way, by another version of the software; max_epochs was 5, is now 9",
        ),
    ],
)
def test_other_data_is_told_in_words(changes, told, settings):
    settings = dataclasses.replace(settings, fingerprint="bbb-2-3")
    with pytest.raises(ValueError, match=re.escape(f"({told})")) as raised:
        settings.check_same(dataclasses.asdict(settings) | changes, "s")
    assert "fingerprint" not in str(raised.value)


def test_checkpoints_move_with_their_study(settings, tmp_path):
    assert settings.checkpoint_root(tmp_path / "s") == str(tmp_path / "s" / "checkpoints")
    remote = dataclasses.replace(settings, checkpoints="s3://bucket/s/checkpoints")
    assert remote.checkpoint_root(tmp_path) == "s3://bucket/s/checkpoints"


def test_the_fixed_part_is_a_valid_configuration(settings):
    config = TrialConfig.from_flat(dataclasses.replace(settings, ema_decay=0.9).fixed_config())
    assert (config.training.max_epochs, config.training.seed, config.training.ema_decay) == (9, 3, 0.9)
    assert "training.ema_decay" not in settings.fixed_config()


def test_what_another_version_recorded(settings, tmp_path):
    recorded = dataclasses.asdict(settings)
    assert StudySettings.recorded(recorded | {"former": 1}, tmp_path) == settings
    del recorded["rung_metric"], recorded["scheduler"]
    with pytest.raises(ValueError, match=r"made by another version, its settings lack scheduler, rung_metric"):
        StudySettings.recorded(recorded, tmp_path)
    with pytest.raises(
        ValueError, match=r"^study 's' was made by another version, its settings lack scheduler, rung_metric: "
    ):
        settings.check_same(recorded, "s")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(StudySettings)])
def test_every_setting_but_the_place_of_the_data_must_be_the_same(field, settings):
    recorded = dataclasses.asdict(settings)
    recorded[field] = "another"
    if field == "data":
        settings.check_same(recorded, "s")
        return
    now = getattr(settings, field)
    told = "the data's content changed" if field == "fingerprint" else f"{field} was 'another', is now {now!r}"
    with pytest.raises(ValueError, match=re.escape(f"({told}): repeat them to continue")):
        settings.check_same(recorded, "s")
    del recorded[field]
    if field in LATER:  # earlier versions had only this value
        settings.check_same(recorded, "s")
        return
    with pytest.raises(ValueError, match=f"^study 's' was made by another version, its settings lack {field}: "):
        settings.check_same(recorded, "s")


@pytest.mark.parametrize("field", sorted({field.name for field in dataclasses.fields(StudySettings)} - LATER.keys()))
def test_every_setting_of_all_versions_must_be_recorded(field, settings, tmp_path):
    recorded = dataclasses.asdict(settings)
    del recorded[field]
    with pytest.raises(
        ValueError, match=f"^{tmp_path}: the study was made by another version, its settings lack {field}$"
    ):
        StudySettings.recorded(recorded, tmp_path)


def test_checkpoints_are_below_the_folder_as_it_is_from_everywhere(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.checkpoint_root(Path("runs/s")) == str(tmp_path / "runs" / "s" / "checkpoints")
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    assert settings.checkpoint_root(Path("link/s")) == str(tmp_path / "runs" / "s" / "checkpoints")
    elsewhere = dataclasses.replace(settings, checkpoints="/scratch/s")
    assert elsewhere.checkpoint_root(tmp_path) == "/scratch/s"


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize(("space", "wide"), [("default", False), ("wide", True)])
def test_a_search_chooses_from_the_space_of_its_profile(space, wide, profile):
    settings = study_settings(space=space, profile=profile, overrides={"model.width": 4})
    assert settings.search_space() == unet_space(PROFILES[profile], wide=wide)


def test_systems_are_chosen_from_with_the_studys_overrides():
    settings = study_settings(space="systems", overrides={"model.width": 4})
    assert settings.search_space() == systems_space({"model.width": 4})


def test_what_the_search_does_not_choose_is_six_settings_of_the_training():
    settings = study_settings(
        max_epochs=7, patience=5, grad_clip=2.5, ema_decay=0.99, precision="bf16", seed=13, profile="gpu"
    )
    assert settings.fixed_config() == {
        "training.max_epochs": 7,
        "training.patience": 5,
        "training.grad_clip": 2.5,
        "training.ema_decay": 0.99,
        "training.precision": "bf16",
        "training.seed": 13,
    }


def test_what_was_chosen_comes_before_what_is_fixed_and_before_the_defaults(settings):
    whole = settings.whole_config({"model.depth": 2, "training.seed": 8})
    assert (whole["model.depth"], whole["training.seed"], whole["training.max_epochs"]) == (2, 8, 9)
    assert whole == TrialConfig.from_flat(whole).to_flat()
    assert whole["optimizer.name"] == TrialConfig().optimizer.name


def test_settings_are_fixed(settings):
    check_fixed(settings)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("profile", "tpu", "profile 'tpu' is not one of "),
        ("rung_metric", "mean", "rung_metric 'mean' is not one of last, best, ema"),
        ("seed", -1, "a number is below the minimum"),
        ("max_epochs", 0, "a number is below the minimum"),
        ("grace_epochs", 0, "a number is below the minimum"),
        ("reduction_factor", 1, "a number is below the minimum"),
        ("patience", 0, "a number is below the minimum"),
        ("train_fraction", 0.0, "train_fraction is 0.0"),
        ("train_fraction", 1.25, "train_fraction is 1.25"),
        ("checkpoints", "elsewhere", "its checkpoints are in 'elsewhere', not in 'checkpoints' or an object store"),
    ],
)
def test_a_ledger_with_settings_that_no_search_has_is_refused_with_the_rule(field, value, rule, settings, tmp_path):
    recorded = dataclasses.asdict(settings) | {field: value}
    with pytest.raises(ValueError, match=re.escape(rule)):
        StudySettings.recorded(recorded, tmp_path)


def test_the_least_settings_that_a_search_has_are_read(settings, tmp_path):
    least = {"seed": 0, "max_epochs": 1, "grace_epochs": 1, "reduction_factor": 2, "patience": 1, "train_fraction": 1.0}
    assert StudySettings.recorded(dataclasses.asdict(settings) | least, tmp_path).max_epochs == 1


class TestMetric:
    def test_the_mean_iou_is_recorded_as_it_always_was(self, settings):
        recorded = settings.to_dict()
        assert "metric" not in recorded
        assert "score_classes" not in recorded
        settings.check_same(recorded, "s")
        assert recorded_metric(recorded) == settings.chosen_metric == MEAN_IOU
        assert StudySettings.recorded(recorded, Path("runs/s")) == settings

    def test_another_is_recorded_and_read(self, settings):
        chosen = dataclasses.replace(settings, metric="dice", score_classes=["soil", "sand"])
        recorded = chosen.to_dict()
        assert StudySettings.recorded(recorded, Path("runs/s")) == chosen
        assert recorded_metric(recorded) == chosen.chosen_metric == Metric.parse("dice", ["soil", "sand"])
        chosen.check_same(recorded, "s")

    def test_a_study_continues_under_its_own_only(self, settings):
        chosen = dataclasses.replace(settings, metric="class_iou:rock")
        with pytest.raises(ValueError, match=r"metric was 'class_iou:rock', is now 'mean_iou'\): repeat them"):
            settings.check_same(chosen.to_dict(), "s")
        with pytest.raises(ValueError, match=r"metric was 'mean_iou', is now 'class_iou:rock'\): repeat them"):
            chosen.check_same(settings.to_dict(), "s")

    @pytest.mark.parametrize("values", [{"metric": 3}, {"metric": "dise"}, {"score_classes": [1]}])
    def test_a_damaged_one_is_refused(self, settings, values):
        with pytest.raises(ValueError, match=r"metric|score_classes"):
            recorded_metric(settings.to_dict() | values)
        with pytest.raises(ValueError, match=r"runs/s: .*(metric|score_classes)"):
            StudySettings.recorded(settings.to_dict() | values, Path("runs/s"))
