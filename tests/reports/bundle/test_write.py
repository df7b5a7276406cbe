"""What a bundle holds, and how it replaces an earlier one."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from reports import load_model
from reports.bundle.contents import CARD, CONTENTS, ONNX, WEIGHTS, read_contents
from reports.bundle.write import FOLDER, Trained, write_bundle
from reports.prediction.scoring import score_models, searched_models
from trainables.config import TrialConfig

CPU = torch.device("cpu")


@pytest.fixture
def made(facts):
    facts.output.mkdir()
    facts, models = searched_models(facts, 1, CPU)
    scored = score_models(facts, models, suppressed=0, device=CPU)
    return facts, scored, Trained(models=models, configs={}, retrained=None, never=None)


def test_it_holds_all_that_is_known_of_the_model(made):
    facts, scored, trained = made
    bundle = write_bundle(facts, scored, trained, onnx=False)
    assert bundle.folder == facts.output / FOLDER
    assert (bundle.onnx, bundle.without_onnx) == (None, None)
    assert {path.name for path in bundle.folder.iterdir()} == {WEIGHTS, CONTENTS, CARD}
    contents = read_contents(bundle.folder / CONTENTS)
    (member,) = contents.members
    assert contents.description == facts.data.description
    assert contents.pixels == facts.data.pixels
    assert contents.tile == (16, 24)
    assert contents.flips == scored.choice.predictor.flips
    assert contents.decision == scored.choice.predictor.decision
    assert TrialConfig.from_flat(member.configuration).to_flat() == TrialConfig.from_flat(facts.best.config).to_flat()
    assert (member.trial, member.weight, member.trained_on) == (
        facts.best.number,
        len(scored.choice.predictor.members),
        "train part",
    )
    about = contents.about
    assert about["data"]["fingerprint"] == facts.data.fingerprint
    assert about["data"]["images"] == {"train": 20, "val": 2, "test": 2}
    assert about["study"]["identity"] == facts.identity
    assert about["study"]["settings"]["max_epochs"] == 5
    assert about["scores"]["held-out test"]["score"][0] == pytest.approx(scored.test.score())
    assert about["software"]["torch"] == torch.__version__
    assert about["never_predicted"] is None


def test_weights_of_the_report_have_their_own_configuration(made):
    facts, scored, trained = made
    number = facts.best.number
    config = TrialConfig.from_flat(facts.best.config)
    longer = dataclasses.replace(config, training=dataclasses.replace(config.training, max_epochs=77))
    trained = dataclasses.replace(trained, configs={number: longer}, retrained=number)
    folder = write_bundle(facts, scored, trained, onnx=False).folder
    (member,) = read_contents(folder / CONTENTS).members
    assert member.configuration["training.max_epochs"] == 77
    assert member.trained_on == "all labelled images"
    assert f"trial {number:04d} was then trained on all labelled images" in (folder / CARD).read_text()


def test_it_replaces_an_earlier_one_as_a_whole(made):
    facts, scored, trained = made
    folder = write_bundle(facts, scored, trained, onnx=False).folder
    (folder / ONNX).write_text("of another model")
    write_bundle(facts, scored, trained, onnx=False)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, CONTENTS, CARD}
    assert [path.name for path in facts.output.iterdir()] == [FOLDER]
    load_model(folder, device="cpu")


def test_a_failure_leaves_the_earlier_one(made, monkeypatch):
    facts, scored, trained = made
    folder = write_bundle(facts, scored, trained, onnx=False).folder
    before = (folder / CONTENTS).read_text()
    monkeypatch.setattr("reports.bundle.write.model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_bundle(facts, scored, trained, onnx=False)
    assert (folder / CONTENTS).read_text() == before
    assert [path.name for path in facts.output.iterdir()] == [FOLDER]


def test_keys_of_a_uri_are_not_in_it(made):
    facts, scored, trained = made
    settings = dataclasses.replace(facts.settings, data="s3://key:secret@bucket/data.npz")
    folder = write_bundle(dataclasses.replace(facts, settings=settings), scored, trained, onnx=False).folder
    assert "secret" not in (folder / CONTENTS).read_text()


def test_the_card_shows_scores_classes_and_warnings(bundle):
    card = (bundle / CARD).read_text()
    assert "| **mean IoU** | " in card
    assert "Mean IoU and the IoU of each class, with 95 % bootstrap intervals" in card
    assert "segments grey images into 5 classes" in card
    assert "| 0 | 0 | background (ignored: unlabelled pixels), never predicted |" in card
    assert "| 0000 | 2 | train part |" in card
    assert r"**Warning:** the final model never predicts \|sand\|." in card
    assert "There is no ONNX file." in card


def test_a_null_score_is_none_in_the_card(bundle):
    contents = json.loads((bundle / CONTENTS).read_text())
    contents["about"]["scores"]["validation"]["score"] = [None, None, None]
    (bundle / CONTENTS).write_text(json.dumps(contents))
    from reports.bundle.model_card import model_card

    assert "| **mean IoU** | none | " in model_card(read_contents(bundle / CONTENTS), "a")


def test_the_card_names_the_metric_of_the_study(bundle):
    contents = json.loads((bundle / CONTENTS).read_text())
    contents["metric"] = {"measure": "dice", "classes": ["soil", "sand"]}
    (bundle / CONTENTS).write_text(json.dumps(contents))
    from reports.bundle.model_card import model_card

    card = model_card(read_contents(bundle / CONTENTS), "a")
    assert "\nMean Dice of soil, sand and the IoU of each class, with" in card
    assert "mean iou" not in card.lower()
