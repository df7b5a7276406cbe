from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import SecondStageConfig, TrainingConfig, TrialConfig
from trainables.models import build_model
from trainables.training.checkpoint_store import CheckpointStore
from trainables.training.resumable_training import epochs, load_best
from trainables.training.stages import Stage, stages
from trainables.training.trainer import Training

TIMES = ("images_per_second", "train_seconds", "val_seconds", "checkpoint_seconds", "restored")


def timeless(reports):
    return [{key: value for key, value in report.to_dict().items() if key not in TIMES} for report in reports]


def run(config, data, **changes):
    arguments = {"train": data.split["train"], "validation": data.split["val"]} | changes
    return epochs(config, data, **arguments)


@pytest.fixture
def config(tiny_config) -> TrialConfig:
    """Six epochs of at most; 0.5 of them with a frozen encoder."""
    return dataclasses.replace(
        tiny_config,
        augmentation=AugmentationConfig(name="hflip"),
        second_stage=SecondStageConfig(name="frozen_encoder", fraction=0.5, lr=2e-3),
        training=dataclasses.replace(tiny_config.training, max_epochs=6),
    )


def with_background(config: TrialConfig, kind: str) -> TrialConfig:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, background=kind))


def weights(parts) -> dict[str, torch.Tensor]:
    """Parameters and batch statistics."""
    states = [part.state_dict() for part in parts]
    return {f"{number} {name}": value.clone() for number, state in enumerate(states) for name, value in state.items()}


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("background", "fraction", "max_epochs", "expected"),
    [
        ("none", None, 9, [("main", 9)]),
        ("joint", None, 9, [("main", 9)]),
        ("none", 0.3, 10, [("main", 7), ("frozen_encoder", 3)]),
        ("none", 0.01, 10, [("main", 9), ("frozen_encoder", 1)]),
        ("none", 0.99, 10, [("main", 1), ("frozen_encoder", 9)]),
        ("none", 0.5, 1, [("main", 1)]),
        ("sequential", None, 9, [("background", 4), ("terrain", 5)]),
        ("sequential", 0.25, 12, [("background", 4), ("terrain", 5), ("frozen_encoder", 3)]),
        ("sequential", None, 1, [("terrain", 1)]),
    ],
)
def test_the_stages_share_the_epochs(background, fraction, max_epochs, expected):
    second = SecondStageConfig() if fraction is None else SecondStageConfig(name="frozen_encoder", fraction=fraction)
    config = TrialConfig(second_stage=second, training=TrainingConfig(max_epochs=max_epochs))
    assert [(stage.name, stage.epochs) for stage in stages(with_background(config, background))] == expected


@pytest.mark.parametrize(
    ("fraction", "max_epochs", "second"),
    [(0.3, 9, 3), (0.5, 9, 4), (0.5, 7, 4), (0.1, 4, 1), (0.5, 2, 1), (0.9, 2, 1), (0.95, 20, 19)],
)
def test_the_second_stages_part_is_rounded_and_leaves_the_first_an_epoch(fraction, max_epochs, second):
    # 2.7, 4.5 (to even), 3.5 (to even), 0.4 (one at least), 1, 1.8 (one is left), 19
    config = TrialConfig(
        second_stage=SecondStageConfig(name="frozen_encoder", fraction=fraction),
        training=TrainingConfig(max_epochs=max_epochs),
    )
    assert [stage.epochs for stage in stages(config)] == [max_epochs - second, second]


def test_each_stage_has_its_learning_rate_and_only_the_second_starts_from_the_best_epoch(config):
    config = with_background(config, "sequential")  # 6 epochs, of which half have a frozen encoder
    assert stages(config) == (
        Stage(name="background", epochs=1, lr=5e-3, from_best=False),
        Stage(name="terrain", epochs=2, lr=5e-3, from_best=False),
        Stage(name="frozen_encoder", epochs=3, lr=2e-3, from_best=True),
    )
    assert [stage.scored for stage in stages(config)] == [False, True, True]
    (only,) = stages(TrialConfig(training=TrainingConfig(max_epochs=7)))
    assert only == Stage(name="main", epochs=7, lr=1e-3, from_best=False)
    assert only.scored


def test_what_each_stage_freezes(config):
    def model(background):
        changed = dataclasses.replace(config.model, background=background)
        return build_model(changed, in_channels=1, num_classes=4, ignored_label=0)

    stage = {name: Stage(name=name, epochs=1, lr=1.0) for name in ("main", "background", "terrain", "frozen_encoder")}
    one, pair = model("none"), model("sequential")
    assert stage["main"].frozen(one) == stage["main"].frozen(pair) == []
    assert stage["frozen_encoder"].frozen(one) == [one.encoder]
    assert stage["frozen_encoder"].frozen(pair) == [pair.terrain.encoder, pair.background.encoder]
    assert stage["background"].frozen(pair) == [pair.terrain]
    assert stage["terrain"].frozen(pair) == [pair.background]


def test_a_new_stage_trains_what_it_does_not_freeze_with_a_new_optimizer_and_average(tiny, config):
    config = with_background(config, "sequential")
    training = Training(config, tiny, tiny.split["train"], torch.device("cpu"))
    given = weights([training.model])
    given = {name.removeprefix("0 "): torch.zeros_like(value) for name, value in given.items()}
    frozen_names = {1: ("terrain.",), 2: ("background.",), 3: ("terrain.encoder.", "background.encoder.")}
    for number, lr in ((1, 5e-3), (2, 5e-3), (3, 2e-3)):
        if number > 1:
            assert any(parameter.grad is not None for parameter in training.model.parameters())
            training.begin_stage(number, given if number == 3 else None)
        frozen = frozen_names[number]
        for name, parameter in training.model.named_parameters():
            assert parameter.requires_grad != name.startswith(frozen), name
            assert parameter.grad is None, name
        held = {id(parameter) for group in training.optimizer.param_groups for parameter in group["params"]}
        assert held == {id(parameter) for parameter in training.model.parameters() if parameter.requires_grad}
        assert training.optimizer.state_dict()["state"] == {}
        assert training.optimizer.param_groups[0]["max_lr"] == lr
        assert training.average.n_averaged == 0
        assert same(weights([training.model]), weights([training.evaluated]))
        training.train_epoch(number)
        for name, part in training.model.named_modules():
            assert part.training != f"{name}.".startswith(frozen), name
        assert training.average.n_averaged == 3
        if number == 3:
            encoder = weights(training.model.encoders())
            assert not any(value.any() for value in encoder.values())


def test_a_frozen_encoder_keeps_its_weights_and_batch_statistics(tiny, config):
    training = Training(config, tiny, tiny.split["train"], torch.device("cpu"))
    training.train_epoch(1)
    training.begin_stage(2)
    before, encoder = weights([training.model]), weights(training.model.encoders())
    training.train_epoch(2)
    assert same(encoder, weights(training.model.encoders()))
    changed = {name.split(".")[0] for name, value in weights([training.model]).items() if (value != before[name]).any()}
    assert {"0 bottleneck", "0 decoder", "0 head", "0 upsample"} <= changed
    assert "0 encoder" not in changed
    for name, value in weights([training.evaluated.encoder]).items():  # the weight average starts anew
        if name.endswith("num_batches_tracked"):
            continue
        torch.testing.assert_close(value, encoder[name])


def test_the_second_stage_starts_from_the_best_epoch_with_its_own_learning_rate(tiny, config, monkeypatch):
    started = []
    begin = Training.begin_stage
    monkeypatch.setattr(
        Training,
        "begin_stage",
        lambda self, number, given=None: (started.append((number, given)), begin(self, number, given))[1],
    )
    kept = {}
    for report in (reports := run(config, tiny)):
        if report.stage == 1 and report.best_epoch == report.epoch:
            kept = weights([reports.gi_frame.f_locals["training"].evaluated])
        last = report
    assert [number for number, _ in started] == [1, 2]
    assert same({f"0 {name}": value for name, value in started[1][1].items()}, kept)
    assert last.stage == 2
    assert last.epoch == 6
    assert last.ended == "max_epochs"


def test_early_stopping_ends_the_first_stage_and_then_the_second(tiny, config):
    impatient = dataclasses.replace(config.training, patience=1, max_epochs=30, ema_decay=None)
    restless = dataclasses.replace(config.optimizer, lr=0.1)
    reports = list(run(dataclasses.replace(config, training=impatient, optimizer=restless), tiny))
    first = [report for report in reports if report.stage == 1]
    assert len(first) < 15
    assert first[-1].epoch - first[-1].best_epoch == 1
    assert reports[-1].ended == "early_stopping"
    assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Reports and checkpoints of a whole run; one for each kind of background network."""
    runs = {}

    def undisturbed(config, data):
        kind = config.model.background
        if kind not in runs:
            store = CheckpointStore(str(tmp_path_factory.mktemp("whole")))
            runs[kind] = timeless(run(config, data, checkpoints=store)), store
        return runs[kind]

    return undisturbed


@pytest.mark.parametrize("stop", [2, 3, 4])
@pytest.mark.parametrize("background", ["none", "sequential"])
def test_a_resumed_trial_ends_as_an_undisturbed_one(stop, background, tiny, config, tmp_path, undisturbed):
    config = with_background(config, background)
    store = CheckpointStore(str(tmp_path / "resumed"))
    expected, whole = undisturbed(config, tiny)
    first = list(itertools.islice(run(config, tiny, checkpoints=store), stop))
    rest = list(run(config, tiny, checkpoints=store, reported_epochs=stop))
    assert timeless(first + rest) == expected
    one, other = (load_best(each, tiny, torch.device("cpu")) for each in (whole, store))
    assert same(weights([one]), weights([other]))


def test_a_run_that_was_stopped_before_its_best_weights_were_kept_keeps_them_on_resume(
    tiny, config, tmp_path, undisturbed
):
    store = CheckpointStore(str(tmp_path / "resumed"))
    expected, whole = undisturbed(config, tiny)
    list(itertools.islice(run(config, tiny, checkpoints=store), 1))
    store.keep("last")
    assert timeless(run(config, tiny, checkpoints=store)) == expected
    one, other = (load_best(each, tiny, torch.device("cpu")) for each in (whole, store))
    assert same(weights([one]), weights([other]))


def test_networks_trained_one_after_the_other_leave_each_other_alone(tiny, config):
    config = with_background(config, "sequential")
    training = Training(config, tiny, tiny.split["train"], torch.device("cpu"))
    pair = training.model
    for number, (trained, frozen) in enumerate([(pair.background, pair.terrain), (pair.terrain, pair.background)], 1):
        training.begin_stage(number)
        before, kept = weights([trained]), weights([frozen])
        training.train_epoch(number)
        assert same(kept, weights([frozen]))
        assert not same(before, weights([trained]))


def test_networks_trained_together_both_learn(tiny, config):
    training = Training(with_background(config, "joint"), tiny, tiny.split["train"], torch.device("cpu"))
    before = weights([training.model.background]), weights([training.model.terrain])
    training.train_epoch(1)
    assert not same(before[0], weights([training.model.background]))
    assert not same(before[1], weights([training.model.terrain]))
