from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from reports.prediction.predictor_choice import PredictorSettings, choose_predictor, greedy_members
from reports.prediction.scores_with_intervals import Confusions
from tests.reports.prediction.test_decision_choice import predictions
from trainables.prediction.decision import PLAIN, Decision
from trainables.prediction.metric import MEAN_IOU
from trainables.prediction.predictor import FLIPS, Predictor

CPU = torch.device("cpu")
PLAINLY = {"device": CPU, "bf16": False}


class Noisy(nn.Module):
    """Knows each pixel's label, which the images show, but for noise of its own."""

    def __init__(self, seed, noise, broken_columns=0):
        super().__init__()
        self.seed, self.noise, self.broken_columns = seed, noise, broken_columns

    def forward(self, x):
        label = (x[:, 0] * 255 - 20).div(50).round().long().clamp(0, 4)  # as the report's tiny data shows them
        logits = 2.0 * nn.functional.one_hot(label, 5).movedim(-1, 1).float()
        generator = torch.Generator().manual_seed(self.seed + int(x.sum() * 1000) % 10_000)
        logits += self.noise * torch.randn(logits.shape, generator=generator)
        if self.broken_columns:
            logits[..., : self.broken_columns] = torch.tensor([0.0, 9.0, 0, 0, 0]).view(1, 5, 1, 1)
        return logits


@pytest.fixture
def data(facts):
    """The report's tiny data, of which the validation part is most."""
    data = facts.data
    data.__dict__["split"] = {"train": np.arange(2), "val": np.arange(2, 24), "test": np.arange(2)}
    return data


def choose(data, models, **changes):
    return choose_predictor(data, models, **{"flips": 2, "suppressed": 0, "metric": MEAN_IOU, **PLAINLY} | changes)


def test_members_of_like_strength_are_averaged(data):
    models = {number: Noisy(number, 3.0) for number in (4, 1, 7)}
    choice = choose(data, models, flips=1)
    assert set(choice.predictor.members) == {1, 4, 7}
    assert "members" in choice.taken
    assert choice.gains["members"].low > 0
    assert choice.validation.score() > choice.single.score() + 0.05


def test_one_model_drawn_alone_is_no_choice_of_members(data):
    """However much better than the best trial's it is on its own: that trial was chosen by more than these images."""
    choice = choose(data, {4: Noisy(4, 30.0), 1: Noisy(1, 0.1)}, flips=1)
    assert choice.gains["members"].low > 0
    assert choice.predictor.members == (4,)
    assert "members" not in choice.taken


def test_a_member_that_brings_nothing_is_left_out(data):
    choice = choose(data, {4: Noisy(4, 0.5), 1: Noisy(1, 30.0)}, flips=1)
    assert choice.predictor.members == (4,)
    assert "members" not in choice.taken


def test_the_best_trial_alone_has_no_members(data):
    choice = choose(data, {4: Noisy(4, 3.0)})
    assert choice.predictor.members == (4,)
    assert "members" not in choice.gains


@pytest.mark.parametrize(("broken", "flips"), [(0, 2), (12, 1)])
def test_flips_are_averaged_unless_they_harm(broken, flips, data):
    class Mirrored(Noisy):
        """Wrong wherever it is shown mirror images."""

        def forward(self, x):
            logits = super().forward(x)
            if broken and not any(torch.equal(x[0, 0], torch.tensor(image) / 255) for image in data.images[2:24]):
                logits = torch.zeros_like(logits)
                logits[:, 1] = 30.0
            return logits

    choice = choose(data, {4: Mirrored(4, 3.0)})
    assert choice.predictor.flips == flips
    assert ("flips" in choice.taken) == (flips == 2)


def test_the_predictor_predicts_what_was_chosen(data):
    """Its labels of the validation part score as the choice says, where nothing was cross-fitted."""
    models = {number: Noisy(number, 3.0) for number in (4, 1, 7)}
    choice = choose(data, models)
    predictor = PredictorSettings(members=(4, 4, 1), flips=2, decision=PLAIN, suppressed=0)
    images = data.images[data.split["val"]]
    predicted = np.concatenate(list(predictor.with_models(models, data, **PLAINLY).labels(images)))
    total = sum(
        weight
        * next(
            Predictor(models=[models[n]], pixels=data.pixels, suppressed=0, flips=FLIPS[:2], **PLAINLY).probabilities(
                images
            )
        )
        for n, weight in ((4, 2 / 3), (1, 1 / 3))
    )
    np.testing.assert_array_equal(predicted, total.argmax(1).numpy())
    single = PredictorSettings(members=(4,), flips=1, decision=PLAIN, suppressed=0)
    found = list(single.with_models(models, data, **PLAINLY).labels(images))
    scored = Confusions.of(data, data.split["val"], found, suppressed=0, metric=MEAN_IOU)
    assert scored.score() == pytest.approx(choice.single.score(), abs=0.005)  # these are rounded to fp16


def test_a_decision_is_applied(data):
    models = {4: Noisy(4, 1.0)}
    favours = Decision(offsets=(0.0, 0.0, 0.0, 99.0, 0.0))
    predictor = PredictorSettings(members=(4,), flips=1, decision=favours, suppressed=0)
    (labels,) = predictor.with_models(models, data, **PLAINLY).labels(data.images[:3])
    assert (labels == 3).all()


def test_greedy_selection_draws_with_replacement_up_to_the_best():
    good, other, bad = (predictions(noise=noise, seed=0) for noise in (1.0, 1.1, 9.0))
    drawn, mixed = greedy_members({0: good, 1: other, 2: bad})
    assert drawn[0] == 0
    assert 2 not in drawn
    expected = sum(drawn.count(number) * found.probabilities.float() for number, found in ((0, good), (1, other)))
    torch.testing.assert_close(torch.stack(list(mixed.probabilities)).float(), expected / len(drawn), atol=2e-3, rtol=0)
    assert mixed.decided(PLAIN).score() >= good.decided(PLAIN).score()


def test_it_is_described_and_written(tmp_path):
    names = ("void", "a", "b")
    plain = PredictorSettings(members=(3,), flips=1, decision=PLAIN, suppressed=0)
    assert plain.describe(names) == ["weights of trial 0003", "flips averaged: none"]
    decision = Decision(offsets=(0.0, 0.5, -1.0), prior=0.5, smallest=16)
    other = PredictorSettings(members=(3, 7, 3), flips=2, decision=decision, suppressed=0)
    assert other.describe(names) == [
        "weights of trials 0003 (2 of 3), 0007 (1 of 3)",
        "flips averaged: none, horizontal",
        "log-odds offsets: a +0.5, b -1.0",
        "the image's own class shares as a prior, to the power 0.5",
        "regions below 16 pixels get the next best label",
    ]
    other.write(tmp_path / "predictor.json")
    assert json.loads((tmp_path / "predictor.json").read_text()) == {
        "members": [3, 7, 3],
        "flips": 2,
        "decision": {"offsets": [0.0, 0.5, -1.0], "prior": 0.5, "smallest": 16},
        "suppressed": 0,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["predictor.json"]


def test_a_part_that_does_not_fit_into_memory_is_sampled(data, monkeypatch):
    seen = []

    class Counting(Noisy):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    monkeypatch.setattr("reports.prediction.predictor_choice.MOST_BYTES", 2 * 5 * 16 * 24 * 9)
    choice = choose(data, {4: Counting(4, 1.0)}, flips=1)
    assert set(seen) == {9}
    assert len(choice.validation.counts) == 9
