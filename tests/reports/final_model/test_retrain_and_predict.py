"""The final model: which weights predict, and what trying it first decides."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from reports.final_model import retrain_and_predict
from reports.final_model.retrain_and_predict import FinalOptions, finish
from reports.final_model.retrain_plan import retrain_plan
from reports.final_model.retraining import check_store, retrain_store
from reports.prediction.predictor_choice import PredictorSettings
from reports.prediction.scoring import rare_lines, saved_lines, score_lines, score_models, searched_models
from search.views.safe_console import Terminal
from tests.made.studies import epoch_report
from trainables.prediction.predictor import Predictor
from trainables.training.checkpoint_store import checkpoint_store

CPU = torch.device("cpu")


@pytest.fixture
def scored(facts):
    facts.output.mkdir()
    return score_models(facts, searched_models(facts, 3, CPU)[1], suppressed=0, device=CPU)


def finished(facts, scored, capsys, *, retrain=True, check=False):
    plan = retrain_plan(facts, scored.choice.predictor.weightiest) if retrain else None
    made = finish(Terminal(), facts, scored, FinalOptions(plan=plan, check=check), CPU)
    return made, capsys.readouterr().out


def test_the_trial_that_weighs_most_is_trained_again(facts, scored, capsys):
    made, output = finished(facts, scored, capsys)
    number = scored.choice.predictor.members[0]
    plan = retrain_plan(facts, number)
    assert (made.retrained, made.retrained_epochs, made.check) == (number, plan.epochs, None)
    assert "final training on all 24 labelled images" in output
    assert "predicting 70 images" in output
    last = output[output.index(f"  epoch {plan.epochs}/{plan.epochs}") :].splitlines()[0]
    assert last.endswith("  0 s left")
    assert retrain_store(facts, plan).load("best")["epoch"] == plan.epochs
    assert made.submission == "submission.csv"
    assert made.rows == 70
    assert sum(made.label_shares.values()) == pytest.approx(1)
    written = json.loads((facts.output / "predictor.json").read_text())
    assert written["members"] == list(scored.choice.predictor.members)


def test_without_training_again_the_searchs_weights_predict(facts, scored, capsys, monkeypatch):
    seen = []
    real = PredictorSettings.with_models

    def noted(settings, models, *arguments, **named):
        seen.append(models)
        return real(settings, models, *arguments, **named)

    monkeypatch.setattr(PredictorSettings, "with_models", noted)
    monkeypatch.setattr(retrain_and_predict, "_submit", lambda *_: np.ones(5))
    made, _ = finished(facts, scored, capsys, retrain=False)
    assert (made.retrained, made.retrained_epochs) == (None, None)
    assert seen == [scored.models]
    finished(facts, scored, capsys)
    number = scored.choice.predictor.members[0]
    assert seen[1][number] is not scored.models[number]


@pytest.mark.parametrize("gain", [-0.1, 0.1])
def test_what_trying_it_first_decides(gain, facts, scored, capsys, monkeypatch):
    trained = []
    real = retrain_and_predict.retrain

    def noted(plan, data, checkpoints, indices):
        trained.append((checkpoints.location, None if indices is None else len(indices)))
        return real(plan, data, checkpoints, indices)

    monkeypatch.setattr(retrain_and_predict, "retrain", noted)
    score = retrain_and_predict.Confusions.score
    test_score = scored.test.score()
    monkeypatch.setattr(
        retrain_and_predict.Confusions,
        "score",
        lambda self: test_score if self is scored.test else test_score + gain,
    )
    made, output = finished(facts, scored, capsys, check=True)
    monkeypatch.setattr(retrain_and_predict.Confusions, "score", score)
    plan = retrain_plan(facts, scored.choice.predictor.members[0])
    split = facts.data.split
    tried = (check_store(facts, plan).location, len(split["train"]) + len(split["val"]))
    whole = (retrain_store(facts, plan).location, None)
    assert trained == ([tried, whole] if gain > 0 else [tried])
    assert made.check.value == pytest.approx(gain)
    assert (made.retrained is None) == (gain < 0)
    (line,) = (
        line for line in output.splitlines() if line.startswith("shadow retraining on the train and validation parts")
    )
    assert f"{100 * gain:+.1f} points" in line
    assert line.endswith("over the search's weights")
    assert ("the search's weights are used" in output) == (gain < 0)


def test_without_a_test_set_there_is_a_final_model_and_no_submission(facts, scored, capsys, monkeypatch):
    monkeypatch.setattr(type(facts.data), "unlabelled", None)
    made, output = finished(facts, scored, capsys, retrain=False)
    assert (made.submission, made.rows, made.label_shares) == (None, 0, {})
    assert "nothing to submit" in output


def test_a_class_that_is_never_predicted_is_named(facts, scored, capsys, monkeypatch):
    ones = [np.ones((70, 16, 24), np.uint8)]
    monkeypatch.setattr(Predictor, "labels", lambda *_: ones)
    made, _ = finished(facts, scored, capsys, retrain=False)
    names = facts.data.description.class_names
    assert f"never predicts {', '.join(names[2:])} on the 70 images to predict" in made.never
    assert made.label_shares == {names[1]: 1.0}


def test_the_best_trials_weights_are_members_if_they_are_there(facts, capsys):
    assert list(searched_models(facts, 3, CPU)[1]) == [facts.best.number, 1 - facts.best.number]  # the third has none
    assert list(searched_models(facts, 1, CPU)[1]) == [facts.best.number]
    checkpoint_store(facts.settings.checkpoint_root(facts.folder), facts.best.number).keep()
    with pytest.raises(ValueError, match=r"holds no best\.pt"):
        searched_models(facts, 3, CPU)


@pytest.fixture
def ahead(facts):
    """Let the running trial have some scores in the ledger, and others in its best.pt, which holds real weights."""

    def ahead(in_ledger, saved):
        root = facts.settings.checkpoint_root(facts.folder)
        content = checkpoint_store(root, facts.best.number).load("best")
        assert content["reports"] == [report.to_dict() for report in facts.best.reports[: facts.best.best.epoch]]
        reports = [[epoch_report(epoch, score) for epoch, score in enumerate(each, 1)] for each in (in_ledger, saved)]
        told = [report.to_dict() for report in reports[1]]
        checkpoint_store(root, 4).save("best", content | {"epoch": len(saved), "reports": told})
        return facts.with_record(dataclasses.replace(facts.record(4), reports=tuple(reports[0])))

    return ahead


def test_a_trial_that_has_saved_a_better_epoch_than_the_ledger_has_counts_with_it(ahead):
    recorded = ahead([0.015, 0.02], [0.015, 0.02, 0.99])
    assert recorded.best.number != 4
    facts, models = searched_models(recorded, 3, CPU)
    assert (facts.best.number, facts.best.score, facts.best.reported_epochs) == (4, 0.99, 3)
    assert next(iter(models)) == 4
    assert retrain_plan(facts, 4).epochs == 3
    assert saved_lines(recorded, facts) == [
        "trial 0004 counts as what its best.pt holds: epoch 3, mean IoU 0.9900; its best epoch in the ledger is 2, "
        "0.0200"
    ]
    again, models = searched_models(recorded, 1, CPU)  # it is not among the trials whose weights are read
    assert again is recorded
    assert list(models) == [recorded.best.number]


def test_a_trial_whose_weights_are_of_a_worse_epoch_than_the_ledgers_best_is_not_the_best(ahead):
    """It began again because its checkpoint was damaged."""
    recorded = ahead([0.5, 0.99], [0.001])
    assert recorded.best.number == 4
    facts, models = searched_models(recorded, 1, CPU)
    assert facts.best.number != 4
    assert list(models) == [facts.best.number]
    assert facts.record(4).score == 0.001


def test_a_trial_counts_as_in_the_ledger_if_its_weights_are_those_of_its_best_epoch(ahead):
    recorded = ahead([0.98, 0.99, 0.5], [0.98, 0.99])
    facts, models = searched_models(recorded, 3, CPU)
    assert facts is recorded
    assert next(iter(models)) == 4
    assert saved_lines(recorded, facts) == []


def test_files_of_earlier_versions_have_no_reports_and_count_as_in_the_ledger(ahead):
    recorded = ahead([0.98, 0.99], [])
    facts, models = searched_models(recorded, 3, CPU)
    assert facts is recorded
    assert next(iter(models)) == 4


def test_scores_are_said_with_intervals_and_what_they_rest_on(facts, scored):
    validation, test, advice, *few = score_lines(facts, scored)
    assert validation.startswith(f"validation: mean IoU {scored.validation.interval()}: soil ")
    assert test.startswith(f"held-out test: mean IoU {scored.test.interval()}: soil ")
    assert "the validation part was used to choose among 3 trials" in advice
    difference = 100 * (scored.validation.score() - scored.test.score())
    assert f"differ by {difference:+.1f} points" in advice
    assert few == rare_lines(scored)
    assert few[1].startswith("few images of the test part hold soil (2)")


@pytest.mark.parametrize(
    ("images", "named"),
    [
        ([10] * 8, ""),
        ([0] * 8, ""),
        ([9, 10, 1, 0, 10, 10, 10, 10], "a (9), c (1)"),
        ([1] * 6 + [10] * 2, "a (1), b (1), c (1), d (1), e (1), f (1)"),
        ([1] * 8, "a (1), b (1), c (1), d (1), e (1), f (1) and 2 more"),
    ],
)
def test_classes_on_few_images_are_named_as_such(images, named, scored, monkeypatch):
    held = dict(zip("abcdefgh", images, strict=True))
    monkeypatch.setattr(type(scored.test), "images_with", lambda self: held if self is scored.test else {})
    expected = [f"few images of the test part hold {named}: scores of such classes may be far off"] if named else []
    assert rare_lines(scored) == expected


def test_what_is_scored_is_what_was_chosen(facts, scored):
    predictor, data = scored.choice.predictor, facts.data
    test = data.split["test"]
    labels = np.concatenate(list(predictor.with_models(scored.models, data, CPU, bf16=False).labels(data.images[test])))
    hits = sum(int(((labels == label) & (data.masks[test] == label)).sum()) for label in range(1, 5))
    assert scored.test.counts[:, range(5), range(5)].sum() == hits
    assert scored.test.counts.sum() == (data.masks[test] > 0).sum()
    assert len(scored.example_predictions) == len(scored.example_indices) > 0


@pytest.mark.parametrize("begun", ["best", "other"])
def test_the_predictor_is_compared_with_what_the_search_began_with(begun, facts):
    facts.output.mkdir()
    number = facts.best.number if begun == "best" else 1 - facts.best.number
    facts = dataclasses.replace(facts, begun_with=(2, number, 3))  # trial 2 is worse, 3 has no score
    scored = score_models(facts, searched_models(facts, 1, CPU)[1], suppressed=0, device=CPU)
    assert scored.begun.number == number
    gain = scored.begun.gain
    assert gain.low <= gain.value <= gain.high
    sentence = next(line for line in score_lines(facts, scored) if "began with" in line)
    assert f"over trial {number:04d}" in sentence
    assert f"{100 * gain.value:+.1f} points" in sentence
    assert ("brought no measurable gain" in sentence) == (gain.value <= 0)
    if begun == "best" and scored.choice.taken == ():
        assert gain.value == 0


def test_weights_that_are_gone_are_not_compared_with(facts):
    facts.output.mkdir()
    assert score_models(facts, searched_models(facts, 1, CPU)[1], suppressed=0, device=CPU).begun is None
    facts = dataclasses.replace(facts, begun_with=(2,))
    assert score_models(facts, searched_models(facts, 1, CPU)[1], suppressed=0, device=CPU).begun is None
