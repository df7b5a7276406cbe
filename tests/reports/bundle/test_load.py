"""What `load_model` loads, and what it refuses."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from reports import load_model
from reports.bundle.contents import CONTENTS, WEIGHTS, read_contents
from trainables.data.description import DataDescription
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.prediction.tiling import Tiling
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import load_best

CPU = torch.device("cpu")


@pytest.fixture
def model(bundle):
    return load_model(bundle, device="cpu")


def test_it_predicts_what_the_predictor_of_the_report_predicts(model, facts):
    contents, root = model.contents, facts.settings.checkpoint_root(facts.folder)
    predictor = Predictor(
        models=[load_best(checkpoint_store(root, number), facts.data, CPU) for number in (0, 1)],
        weights=[2, 1],
        pixels=facts.data.pixels,
        device=CPU,
        bf16=model.predictor.bf16,
        suppressed=0,
        flips=FLIPS[:2],
        decision=contents.decision,
    )
    expected = np.concatenate(list(predictor.labels(facts.data.images[:5])))
    assert len(np.unique(expected)) > 1
    found = [model.predict(image) for image in facts.data.images[:5]]
    np.testing.assert_array_equal(found, expected)
    together = [labels for labels, _ in model.each(facts.data.images[:5])]
    np.testing.assert_array_equal(together, expected)


@pytest.mark.parametrize("shape", [(16, 24), (7, 5), (40, 61), (1, 300)])
def test_an_image_of_any_size_is_predicted(model, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    probabilities = model.probabilities(image)
    assert model.predict(image).shape == shape
    assert probabilities.shape == (5, *shape)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-2)
    tiling = Tiling(height=16, width=24)
    (expected,) = Predictor(**(vars(model.predictor) | {"tiling": tiling})).probabilities([image])
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-2)


def test_images_of_several_sizes_keep_their_order(model):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in [(16, 24)] * 3 + [(20, 30)] + [(16, 24)] * 70]
    found = [labels for labels, _ in model.each(images)]
    assert [labels.shape for labels in found] == [image.shape for image in images]
    for index in (0, 2, 3, 4, 73):
        np.testing.assert_array_equal(found[index], model.labels(images[index]))


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({"values": (0, 7, 9, 11, 300)}, np.uint16),
        ({"values": (255, 1, 2, 3, 4)}, np.uint8),
        ({"values": (-1, 1, 2, 3, 4)}, np.int16),
    ],
)
def test_masks_hold_the_values_of_the_users_masks(description, expected, model, bundle):
    described = json.loads((bundle / CONTENTS).read_text())
    described["description"] |= description
    (bundle / CONTENTS).write_text(json.dumps(described))
    image = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
    mask = load_model(bundle, device="cpu").predict(image)
    assert mask.dtype == expected
    np.testing.assert_array_equal(mask, np.array(description["values"])[model.labels(image)])


def test_masks_of_colours_are_colours():
    described = DataDescription(
        class_names=("a", "b"), ignored_label=None, values=(0x010203, 0xFF8000), colour_masks=True
    )
    assert described.masks(np.array([[1, 0]])).tolist() == [[[255, 128, 0], [1, 2, 3]]]


def test_the_folder_of_the_study_the_report_or_the_bundle_may_be_named(bundle, tmp_path, model):
    shutil.copytree(bundle, tmp_path / "runs" / "a" / "report" / "model")
    for folder in (tmp_path / "runs" / "a", tmp_path / "runs" / "a" / "report", str(bundle)):
        assert load_model(folder, device="cpu").contents == model.contents


def test_random_numbers_of_the_caller_stay_the_same(bundle):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    load_model(bundle, device="cpu")
    assert torch.rand(1) == expected


def changed(bundle, change):
    contents = json.loads((bundle / CONTENTS).read_text())
    change(contents)
    (bundle / CONTENTS).write_text(json.dumps(contents))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "has format 2, this version reads 1"),
        (lambda c: c.pop("tile"), "does not describe a model"),
        (lambda c: c.update(tile=[16]), "tile must be two whole numbers"),
        (lambda c: c.update(flips=3), "flips must be 1, 2 or 4"),
        (lambda c: c.update(members=[]), "there must be members"),
        (lambda c: c.update(suppressed=5), "suppressed must be a label"),
        (lambda c: c["decision"].update(offsets=[1.0]), "one offset for each class"),
        (lambda c: c["members"][0].update(weight=0), "must be above 0"),
        (lambda c: c["members"][0]["configuration"].update({"model.block": "evil.module"}), "must be one of plain"),
        (lambda c: c["members"][0]["configuration"].update({"model.code": "x"}), "setting model.code"),
        (lambda c: c["members"][0]["configuration"].update({"model.depth": 2}), "weights of another model"),
        (lambda c: c["description"].update(class_names=["one"]), "class names"),
        (lambda c: c.update(surprise=1), "does not describe a model"),
        (lambda c: c["description"].update(values=[0, [], 2, 3, 4]), "values of masks must be whole numbers"),
        (lambda c: c["pixels"].update(dtype="int64"), "must be uint8 or float32"),
        (lambda c: c["pixels"].update(mean=["x"]), "a number for each channel"),
        (lambda c: c["pixels"].update(std=[float("nan")]), "a number for each channel"),
        (lambda c: c["pixels"].update(low=None), "a number for each channel"),
        (lambda c: c["pixels"].update(high=[1.0, 1.0]), "a number for each channel"),
        (lambda c: c["decision"].update(prior="x"), "the decision must be of numbers"),
        (lambda c: c["decision"].update(smallest=None), "the decision must be of numbers"),
        (lambda c: c["members"][0].update(trial=None), "trials must be numbers"),
        (lambda c: c["members"][0].update(configuration=None), "configurations must be objects"),
        (lambda c: c["members"][0]["configuration"].update({"model.width": 10**12}), "trial 0: .*memory"),
        (lambda c: c.update(files=None), "files must be an object"),
        (lambda c: c["metric"].update(classes=["rock"]), "the metric must be of classes of the model"),
        (lambda c: c["files"].clear(), "damaged, or belongs to another model"),
    ],
)
def test_contents_that_describe_no_model_are_refused(change, message, bundle):
    changed(bundle, change)
    with pytest.raises(ValueError, match=message):
        load_model(bundle, device="cpu")
    assert "evil" not in sys.modules


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "3", '{"format": 1}', "[" * 10**5])
def test_a_file_that_is_no_description_is_refused(text, bundle):
    (bundle / CONTENTS).write_text(text)
    with pytest.raises(ValueError, match=r"model\.json: does not describe a model"):
        load_model(bundle, device="cpu")


def test_damaged_weights_are_refused(bundle):
    content = bytearray((bundle / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (bundle / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors: is damaged"):
        load_model(bundle, device="cpu")
    (bundle / WEIGHTS).unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(bundle, device="cpu")


def test_a_folder_without_a_model_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"contains no model \(looked for model.json, .*python reports/run.py RUN"):
        load_model(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="copy the model to this machine"):
        load_model("s3://bucket/model")


@pytest.mark.parametrize("device", ["tpu-9", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device, bundle):
    with pytest.raises(ValueError, match="cannot be used here"):
        load_model(bundle, device=device)


def test_the_identity_is_that_of_the_predictions(bundle):
    before = read_contents(bundle / CONTENTS).identity
    changed(bundle, lambda c: c["about"].update(made="another day"))
    assert read_contents(bundle / CONTENTS).identity == before
    changed(bundle, lambda c: c.update(flips=1))
    assert read_contents(bundle / CONTENTS).identity != before


def test_weights_of_another_model_are_refused_in_one_line(bundle):
    changed(bundle, lambda c: c["members"][0]["configuration"].update({"model.width": 3}))
    with pytest.raises(ValueError, match="weights of another model") as refused:
        load_model(bundle, device="cpu")
    assert "\n" not in str(refused.value)
