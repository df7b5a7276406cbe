from __future__ import annotations

import dataclasses
import functools
import json
from types import SimpleNamespace

import pytest
import torch

from reports.final_model import finalist_training, training_choice
from reports.final_model.finalist_training import (
    EpochSeconds,
    finalist_store,
    finished_epochs,
    plan_time,
    record,
    recorded,
    timed,
    train_finalist,
)
from reports.final_model.retrain_plan import retrain_plan
from reports.final_model.training_choice import Clock, spend
from reports.prediction import scoring
from reports.prediction.scoring import score_models, searched_models
from search.views.safe_console import Terminal
from trainables.config import TrainingConfig, TrialConfig
from trainables.models.config import ModelConfig
from trainables.training.trainer import Training

CPU = torch.device("cpu")
CONFIG = TrialConfig(model=ModelConfig(width=16), training=TrainingConfig(max_epochs=12, patience=3))


def cost(config):
    """100 s an epoch at width 16, as the square of the width: 40 training, 10 validation, 50 on all images."""
    times = (config.model.width / 16) ** 2
    return EpochSeconds(train=40 * times, validation=10 * times, every=50 * times)


@pytest.mark.parametrize(
    ("seconds", "epochs", "width"),
    [
        (833, None, None),  # 14 epochs
        (834, 15, 16),  # 15: a quarter more than 12
        (2700, 48, 16),
        (5300, 95, 16),  # all the time: 4 * 12 epochs do not fit twice
        (5340, 48, 16),
        (11_990, 107, 16),  # 4 * 12 wide epochs do not fit twice
        (12_010, 48, 24),
        (99_000, 108, 24),  # the longest
    ],
)
def test_longer_first_then_repeated_and_then_wider(seconds, epochs, width):
    plan = plan_time(CONFIG, seconds, cost)
    if epochs is None:
        assert plan is None
        return
    assert (plan.training.max_epochs, plan.model.width) == (epochs, width)
    assert plan.training.patience == epochs  # early stopping does not cut it off
    same = dataclasses.replace(plan, training=CONFIG.training, model=CONFIG.model)
    assert same == CONFIG


def test_a_wider_network_that_does_not_fit_into_memory_is_not_planned():
    plan = plan_time(CONFIG, 99_000, lambda config: cost(config) if config.model.width == 16 else None)
    assert (plan.training.max_epochs, plan.model.width) == (108, 16)
    assert plan_time(CONFIG, 99_000, lambda config: None) is None


def test_steps_are_timed_and_reckoned_up(facts, monkeypatch):
    config = TrialConfig.from_flat(facts.best.config)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=4))
    made = []

    class Timing:
        model = None

        def __init__(self, config, data, indices, device, *, micro_batches=1):
            made.append(len(indices))
            self.batches = SimpleNamespace(steps=len(indices) // 4)

        def train_epoch(self, epoch):
            return type("Trained", (), {"seconds": 3.0 * made[-1] / 4})

    ticks = iter([10.0, 13.0])
    monkeypatch.setattr(finalist_training, "Training", Timing)
    monkeypatch.setattr(finalist_training, "evaluate", lambda *_, **__: None)
    monkeypatch.setattr(finalist_training.time, "perf_counter", lambda: next(ticks))
    found = timed(facts, config, 1, CPU)
    train, val = len(facts.data.split["train"]), len(facts.data.split["val"])
    assert made == [4, 24, 4]  # one step to warm up, six that count
    assert found == EpochSeconds(train=3.0 * (train // 4), validation=3.0, every=3.0 * (24 // 4))
    assert val <= 24


def test_a_plan_is_kept_for_a_report_that_continues(facts):
    trial = facts.best
    facts.output.mkdir()
    assert recorded(facts, trial) is None
    record(facts, trial, CONFIG)
    assert recorded(facts, trial) == CONFIG
    assert recorded(facts, dataclasses.replace(trial, config=trial.config | {"training.seed": 9})) is None
    path = facts.output / "finalist" / f"{trial.number:04d}" / "plan.json"
    for damaged in (json.dumps({"of": trial.config, "config": 3}), "{", "[" * 100_000, "null"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r"plan\.json: is not the plan of a finalist .* delete the folder"):
            recorded(facts, trial)


def longer(facts, epochs=6):
    config = TrialConfig.from_flat(facts.best.config)
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, max_epochs=epochs, patience=epochs)
    )


def test_it_trains_on_the_train_part_and_is_repeated_up_to_its_best_epoch(facts):
    told = []
    facts.output.mkdir()
    made = train_finalist(facts, facts.best, longer(facts), finalist_store(facts, facts.best), told.append)
    assert [report.epoch for report in told] == [1, 2, 3, 4, 5, 6]
    assert made.reports == tuple(told)
    best = max(told, key=lambda report: report.score)
    plan = made.plan(facts, facts.best)
    assert (plan.number, plan.epochs) == (facts.best.number, best.epoch)
    assert plan.config.model == longer(facts).model
    # a stopped one goes on
    assert finished_epochs(facts, facts.best) == 6
    again = train_finalist(facts, facts.best, longer(facts), finalist_store(facts, facts.best), told.append)
    assert again.reports == tuple(dataclasses.replace(report, restored=True) for report in made.reports)
    # and what belongs to another plan goes with it
    record(facts, facts.best, longer(facts, 9))
    assert finished_epochs(facts, facts.best) == 0


@pytest.fixture
def scored(facts):
    facts.output.mkdir()
    return score_models(facts, searched_models(facts, 3, CPU)[1], suppressed=0, device=CPU)


def spent(facts, scored, capsys, budget):
    score = functools.partial(score_models, facts, suppressed=0, device=CPU)
    made = spend(Terminal(), facts, scored, Clock(budget), score, CPU)
    return made, capsys.readouterr().out


def test_without_a_budget_the_final_training_is_what_there_is(facts, scored, capsys):
    made, output = spent(facts, scored, capsys, None)
    assert made.scored is scored
    assert made.plan == retrain_plan(facts, scored.choice.predictor.weightiest)
    assert (made.gain, output) == (None, "")


@pytest.mark.parametrize(("seconds", "trains"), [(100.0, False), (1e-6, True)])
def test_a_short_budget_has_the_final_training_or_nothing(seconds, trains, facts, scored, capsys, monkeypatch):
    monkeypatch.setattr("reports.final_model.training_choice.plan_time", lambda *_: None)
    every = EpochSeconds(train=0.0, validation=0.0, every=seconds)
    monkeypatch.setattr("reports.final_model.training_choice.timed", lambda *_: every)
    made, output = spent(facts, scored, capsys, 60.0)
    assert (made.plan is not None) == trains
    assert ("not enough time (about" in output) == (not trains)


@pytest.mark.parametrize("better", [True, False])
def test_a_finalist_replaces_its_trial_where_validation_says_so(better, facts, scored, capsys, monkeypatch):
    monkeypatch.setattr(
        "reports.final_model.training_choice.timed", lambda *_: EpochSeconds(train=1.0, validation=1.0, every=1.0)
    )
    monkeypatch.setattr(finalist_training, "LONGEST", 1.5)
    monkeypatch.setattr(finalist_training, "MOST", 1.0)
    gain_over = type(scored.validation).gain_over

    def gain(self, other, *level):
        found = gain_over(self, other, *level)
        return dataclasses.replace(found, value=0.1 if better else -0.1) if other is scored.validation else found

    monkeypatch.setattr(type(scored.validation), "gain_over", gain)
    made, output = spent(facts, scored, capsys, 600.0)
    assert "finalist: trial 000" in output
    assert "epoch 7/7" in output  # one and a half times 5
    left = [line.rpartition("  ")[2] for line in output.splitlines() if line.startswith("  epoch ")]
    assert left[-1] == "0 s left"
    assert made.gain.value == (0.1 if better else -0.1)
    assert (made.scored is scored) == (not better)
    assert ("are kept" in output) == (not better)
    if better:
        searched = TrialConfig.from_flat(facts.best.config).model
        assert made.plan.config.model == dataclasses.replace(searched, width=round(1.5 * searched.width))
        assert made.scored.models[facts.best.number] is not scored.models[facts.best.number]
    else:
        assert made.plan == retrain_plan(facts, scored.choice.predictor.weightiest)
    # and a second report continues with it, whatever its time
    monkeypatch.setattr("reports.final_model.training_choice.plan_time", lambda *_: pytest.fail("planned again"))
    assert "epoch 7/7" in spent(facts, scored, capsys, 1.0)[1]


def test_a_clock_runs_down():
    now = iter([5.0, 7.0])
    assert Clock(None).left is None
    assert Clock(10.0, lambda: next(now)).left == 8.0


def quick(monkeypatch, **changes):
    each = EpochSeconds(**{"train": 1.0, "validation": 1.0, "every": 1.0} | changes)
    monkeypatch.setattr("reports.final_model.training_choice.timed", lambda *_: each)


def test_a_finalist_that_is_no_member_changes_nothing(facts, scored, capsys, monkeypatch):
    """Another choice among the search's weights is not its doing."""
    quick(monkeypatch)
    monkeypatch.setattr(finalist_training, "LONGEST", 1.5)
    monkeypatch.setattr(finalist_training, "MOST", 1.0)
    choose = scoring.choose_predictor

    def without(data, models, **arguments):
        choice = choose(data, models, **arguments)
        others = dataclasses.replace(choice.predictor, members=(1 - facts.best.number,))
        return dataclasses.replace(choice, predictor=others)

    monkeypatch.setattr(scoring, "choose_predictor", without)
    gain_over = type(scored.validation).gain_over
    monkeypatch.setattr(
        type(scored.validation),
        "gain_over",
        lambda self, other, *level: dataclasses.replace(gain_over(self, other, *level), value=0.1),
    )
    made, output = spent(facts, scored, capsys, 600.0)
    assert made.scored is scored
    assert made.plan == retrain_plan(facts, scored.choice.predictor.weightiest)
    assert "are kept" in output


def test_a_finalist_that_diverges_is_said_to(facts, scored, capsys, monkeypatch):
    quick(monkeypatch)
    wild = dataclasses.replace(longer(facts), optimizer=dataclasses.replace(longer(facts).optimizer, lr=1e37))
    record(facts, facts.best, wild)
    made, output = spent(facts, scored, capsys, 600.0)
    assert "the finalist diverged in epoch" in output
    assert made.scored is scored
    assert made.plan == retrain_plan(facts, scored.choice.predictor.weightiest)


def test_both_parts_of_an_epoch_count_for_an_unfinished_one(facts, scored, capsys, monkeypatch):
    quick(monkeypatch, train=10.0, validation=9.0)
    record(facts, facts.best, longer(facts, 6))
    assert "is not finished and would need 1 min 54 s" in spent(facts, scored, capsys, 60.0)[1]


def test_the_time_left_of_each_epoch_is_said(facts, scored, capsys, monkeypatch):
    quick(monkeypatch)
    record(facts, facts.best, longer(facts, 3))
    train = training_choice.train_finalist

    def slower(facts, trial, config, checkpoints, show):
        slow = {"train_seconds": 10.0, "val_seconds": 2.0}
        return train(facts, trial, config, checkpoints, lambda report: show(dataclasses.replace(report, **slow)))

    monkeypatch.setattr(training_choice, "train_finalist", slower)
    output = spent(facts, scored, capsys, 600.0)[1]
    left = [line.split("  ")[-1] for line in output.splitlines() if line.startswith("  epoch ")]
    assert left == ["24 s left", "12 s left", "0 s left"]


def test_the_time_of_the_submission_is_kept_free(facts, scored, capsys, monkeypatch):
    """The final training takes 5 epochs of 10 s; of its 60 s the submission takes a part."""
    monkeypatch.setattr(training_choice, "plan_time", lambda *_: None)
    quick(monkeypatch, every=10.0)
    monkeypatch.setattr(training_choice, "RESERVE", 0.0)
    images, epochs = len(facts.data.unlabelled), retrain_plan(facts, scored.choice.predictor.weightiest).epochs
    for reserved, trains in ((9.0, True), (11.0, False)):
        each = reserved / images / training_choice.SLACK
        timed = dataclasses.replace(scored, seconds_per_image=each)
        assert (spent(facts, timed, capsys, 10.0 * epochs + 10.0)[0].plan is not None) == trains


def test_an_unfinished_one_waits_for_a_report_with_more_time(facts, scored, capsys, monkeypatch):
    quick(monkeypatch, train=100.0)
    record(facts, facts.best, longer(facts, 6))
    made, output = spent(facts, scored, capsys, 60.0)
    assert "is not finished and would need 10 min 06 s: it is left unfinished" in output
    assert made.scored is scored
    assert recorded(facts, facts.best) == longer(facts, 6)


def test_what_does_not_fit_into_memory_is_narrower_and_comes_in_parts(facts, monkeypatch):
    real, seen = Training.train_epoch, []
    width = TrialConfig.from_flat(facts.best.config).model.width

    def limited(training, epoch):
        seen.append((training.config.model.width, training.micro_batches))
        if training.config.model.width > width or training.micro_batches < 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(training, epoch)

    monkeypatch.setattr(Training, "train_epoch", limited)
    plan = plan_time(TrialConfig.from_flat(facts.best.config), 1e6, lambda config: timed(facts, config, 1, CPU))
    assert plan.model.width == width
    assert {parts for wide, parts in seen if wide == width} == {1, 2}
    monkeypatch.setattr(Training, "train_epoch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        timed(facts, CONFIG, 1, CPU)


def test_a_final_training_that_never_fits_is_left_out(facts, scored, capsys, monkeypatch):
    monkeypatch.setattr("reports.final_model.training_choice.timed", lambda *_: None)
    made, output = spent(facts, scored, capsys, 600.0)
    assert made.plan is None
    assert "not enough memory for a final training" in output
