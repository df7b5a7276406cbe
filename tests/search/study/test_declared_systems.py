"""The systems of the reports, written down a second time: what each has that its report's base has not."""

from __future__ import annotations

import optuna
import pytest

from search.study.profiles import PROFILES
from search.study.systems import (
    MAX_EPOCHS,
    MOST_SEEDS,
    PATIENCE,
    SYSTEMS,
    choose_systems,
    runs_of,
    system_points,
    systems_space,
)
from search.study.unet_space import unet_space
from tests.made.records import check_fixed

BASE_A = {
    "model.depth": 4,
    "model.width": 32,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-3,
    "schedule.name": "constant",
    "augmentation.name": "hflip",
    "training.batch_size": 32,
}
BASE_B = {
    "model.depth": 3,
    "model.width": 32,
    "model.dropout": 0.5,
    "loss.learn_ignored": True,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-3,
    "schedule.name": "cosine",
    "augmentation.name": "flips+crop",
    "training.batch_size": 32,
}
SGD = {"optimizer.name": "sgd", "optimizer.lr": 0.05, "optimizer.momentum": 0.9}
ATTENTION = {"model.bottleneck": "aspp", "model.skip": "attention"}
BEST = "a-ce-ignoring"
SYSTEMS_AGAIN = {
    "a-focal": (BASE_A | {"loss.name": "focal", "loss.learn_ignored": True}, None),
    "a-dice": (BASE_A | {"loss.name": "dice", "loss.learn_ignored": True}, None),
    "a-ce": (BASE_A | {"loss.learn_ignored": True}, None),
    "a-ce-ignoring-sgd": (BASE_A | SGD, None),
    "a-background": (BASE_A | {"model.background": "joint"}, None),
    "a-ce-ignoring": (BASE_A, None),
    "a-background-first": (BASE_A | {"model.background": "sequential"}, "a-background"),
    "a-adam": (BASE_A | {"optimizer.name": "adam"}, BEST),
    "a-plateau": (BASE_A | {"schedule.name": "plateau"}, BEST),
    "a-onecycle": (BASE_A | {"schedule.name": "onecycle"}, BEST),
    "a-flips": (BASE_A | {"augmentation.name": "flips"}, BEST),
    "a-rotate": (BASE_A | {"augmentation.name": "hflip+rotate"}, BEST),
    "a-elastic": (BASE_A | {"augmentation.name": "hflip+elastic"}, BEST),
    "a-grid": (BASE_A | {"augmentation.name": "hflip+grid_distortion"}, BEST),
    "a-gated": (BASE_A | {"model.skip": "gated"}, BEST),
    "a-deep-supervision": (BASE_A | {"model.deep_supervision": 0.5}, BEST),
    "a-jaccard": (BASE_A | {"loss.name": "jaccard"}, BEST),
    "b-unet2": (BASE_B | {"model.depth": 2}, None),
    "b-unet3": (BASE_B, None),
    "b-aspp": (BASE_B | {"model.bottleneck": "aspp"}, None),
    "b-attention": (BASE_B | ATTENTION, None),
    "b-finetuned": (BASE_B | ATTENTION | {"second_stage.name": "frozen_encoder"}, None),
    "b-unet4": (BASE_B | {"model.depth": 4}, "b-unet3"),
    "b-weighted": (
        BASE_B | {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 1.0},
        "b-unet3",
    ),
    "b-focal": (BASE_B | {"loss.name": "focal"}, "b-unet3"),
    "b-boundary": (BASE_B | {"loss.name": "cross_entropy+boundary"}, "b-unet3"),
    "b-focal-dice": (BASE_B | {"loss.name": "focal+dice"}, "b-unet3"),
    "b-residual": (BASE_B | {"model.block": "residual"}, "b-unet3"),
    "b-add": (BASE_B | {"model.skip": "add"}, "b-unet3"),
    "b-fusion": (BASE_B | {"model.skip": "fusion"}, "b-unet3"),
    "b-plateau": (BASE_B | {"schedule.name": "plateau"}, "b-unet3"),
    "b-brightness": (BASE_B | {"augmentation.name": "flips+brightness+crop"}, "b-unet3"),
}


def test_each_system_has_just_this_configuration_and_varies_that_row():
    assert {name: (dict(system.config), system.varies) for name, system in SYSTEMS.items()} == SYSTEMS_AGAIN
    assert list(SYSTEMS) == list(SYSTEMS_AGAIN)


def test_a_system_is_named_after_its_report():
    for name, system in SYSTEMS.items():
        assert system.name == name
        assert system.report == {"a": "report-a", "b": "report-b"}[name[0]]
        check_fixed(system)
    titles = [system.title for system in SYSTEMS.values()]
    assert {title for title in titles if titles.count(title) > 1} == {"ReduceLROnPlateau"}


def test_the_published_numbers_by_kind():
    published = {name: dict(system.published) for name, system in SYSTEMS.items() if system.published}
    assert published == {
        "a-focal": {"validation": 39.51},
        "a-dice": {"validation": 42.98},
        "a-ce": {"validation": 43.89},
        "a-ce-ignoring-sgd": {"validation": 62.09},
        "a-background": {"validation": 63.66},
        "a-ce-ignoring": {"validation": 64.39},
        "b-unet2": {"local test": 43.16, "leaderboard": 42.19},
        "b-unet3": {"local test": 52.26, "leaderboard": 47.76},
        "b-aspp": {"local test": 53.0, "leaderboard": 50.06},
        "b-attention": {"local test": 54.87, "leaderboard": 53.5},
        "b-finetuned": {"local test": 65.62},
    }


def test_what_was_said_without_a_number_is_a_remark():
    assert {name: system.remark for name, system in SYSTEMS.items() if system.remark} == {
        "a-ce-ignoring": "trained on all data: 69.63 validation, 64.6 leaderboard",
        "a-flips": "about -4 points",
        "a-rotate": "about -4 points",
        "a-elastic": "about -4 points",
        "a-grid": "about -4 points",
        "b-unet4": "worse",
        "b-boundary": "with cross-entropy, as its paper has it",
        "b-brightness": "worse",
    }


def test_the_full_length_is_the_reports():
    assert (MAX_EPOCHS, PATIENCE, MOST_SEEDS) == (150, 30, 100)


def test_the_systems_are_a_space_of_which_one_and_which_seed():
    system, seed = systems_space({}).parameters
    assert (system.name, system.choices, system.when) == ("system", tuple(SYSTEMS_AGAIN), None)
    assert (seed.name, seed.low, seed.high, seed.whole) == ("training.seed", 0, 2_147_483_647, True)
    assert (seed.log, seed.when, seed.key) == (False, None, None)


def test_runs_go_seed_by_seed_from_the_first_one():
    assert runs_of(("b-unet3", "a-ce"), seeds=3, first_seed=10) == [
        {"system": "b-unet3", "training.seed": 10},
        {"system": "a-ce", "training.seed": 10},
        {"system": "b-unet3", "training.seed": 11},
        {"system": "a-ce", "training.seed": 11},
        {"system": "b-unet3", "training.seed": 12},
        {"system": "a-ce", "training.seed": 12},
    ]
    assert runs_of((), seeds=3, first_seed=0) == runs_of(("a-ce",), seeds=0, first_seed=0) == []


def test_a_run_is_its_system_with_its_seed_and_the_overrides_above_all():
    drawn = optuna.trial.FixedTrial({"system": "b-aspp", "training.seed": 5})
    overrides = {"model.width": 4, "training.seed": 9, "model.bottleneck": "plain"}
    expected = SYSTEMS_AGAIN["b-aspp"][0]
    assert systems_space({}).suggest(drawn) == expected | {"training.seed": 5}
    assert systems_space(overrides).suggest(drawn) == expected | overrides


def test_a_search_starts_from_the_rows_and_from_no_point_twice():
    points = system_points(unet_space(PROFILES["gpu"], wide=True))
    # Of the 11 rows a-ce-ignoring is the point of a-ce: whether the ignored class is learned depends on a choice of the
    # background network, which neither of them makes.
    assert [point["model.depth"] for point in points] == [4] * 5 + [2, 3, 3, 3, 3]
    assert points[3] == {
        "model.depth": 4,
        "model.width": 32,
        "optimizer.name": "sgd",
        "optimizer.sgd_lr": 0.05,
        "optimizer.momentum": 0.9,
        "schedule.name": "constant",
        "training.batch_size": 32,
        "augmentation.name": "hflip",
    }
    # Without the ignored class and Dice loss to choose, a-dice is a-ce, which is a-ce-ignoring and a-background.
    few = system_points(unet_space(PROFILES["gpu"]))
    assert len(few) == 7
    assert all(few.count(point) == 1 for point in few)


@pytest.mark.parametrize("name", ["a", "report", "a-c", "", " a-ce"])
def test_a_word_names_a_whole_report_or_a_whole_system(name):

    with pytest.raises(
        ValueError, match=f"^--systems: unknown system '{name}': must be one of all, report-a, report-b, a-f"
    ):
        choose_systems(f"a-ce,{name}")
