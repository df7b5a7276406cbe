"""The ONNX file computes what PyTorch computes, for any number of images and, where it can, any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reports.bundle.onnx_file import OnnxFacts, run_onnx, scaled_pixels, write_onnx
from trainables.data.pixel_format import PixelFormat
from trainables.models import ModelConfig, build_model
from trainables.prediction.decision import Decision
from trainables.prediction.predictor import FLIPS, Predictor

pytestmark = pytest.mark.slow
DECISION = Decision(offsets=(0.0, 0.4, -0.3, 0.2), prior=0.5, smallest=4)


def made(channels=1, **settings):
    torch.manual_seed(0)
    networks = [
        build_model(
            ModelConfig(depth=2, width=2, **settings), in_channels=channels, num_classes=4, ignored_label=0
        ).eval()
        for _ in range(2)
    ]
    for network in networks:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.5)  # the last layer's initial weights are tiny
    return Predictor(
        models=networks,
        weights=[1, 2],
        pixels=PixelFormat(
            dtype="uint8",
            low=(0.0,) * channels,
            high=(255.0,) * channels,
            mean=(0.4,) * channels,
            std=(0.2,) * channels,
        ),
        device=torch.device("cpu"),
        bf16=False,
        suppressed=0,
        flips=FLIPS,
        decision=DECISION,
    )


def images(count, *shape):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def largest_difference(path, predictor, given):
    (ours,) = predictor.probabilities(given)
    theirs, labels = run_onnx(path, scaled_pixels(given, predictor.pixels))
    expected = Decision(offsets=DECISION.offsets, prior=DECISION.prior).labels(ours).numpy()
    assert (labels != expected).mean() <= 1e-3
    assert np.ptp(ours.numpy(), axis=(2, 3)).max() > 0.01  # they depend on the pixels
    return np.abs(theirs - ours.numpy()).max()


def test_any_number_of_images_of_any_size(tmp_path):
    path, predictor = tmp_path / "model.onnx", made(3, bottleneck="aspp", class_head="gate")
    found = write_onnx(path, predictor, images(3, 16, 24, 3))
    assert isinstance(found, OnnxFacts)
    assert (found.multiple_of, found.checked) == (4, 3)
    assert 0 <= found.largest_difference < 1e-4
    assert found.differing_pixels < 1e-3
    for given in (images(5, 16, 24, 3), images(1, 32, 12, 3)):
        assert largest_difference(path, predictor, given) < 1e-4


@pytest.mark.parametrize(
    ("size", "settings"),
    [((16, 24), {"bottleneck": "psp"}), ((15, 22), {"background": "joint"})],
    ids=["psp", "padded"],
)
def test_the_size_is_fixed_where_the_network_needs_it(size, settings, tmp_path):
    path, predictor = tmp_path / "model.onnx", made(**settings)
    found = write_onnx(path, predictor, images(2, *size))
    assert isinstance(found, OnnxFacts)
    assert found.multiple_of is None
    assert largest_difference(path, predictor, images(3, *size)) < 1e-4


def test_a_file_that_differs_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr("reports.bundle.onnx_file.TOLERANCE", -1.0)
    found = write_onnx(tmp_path / "model.onnx", made(), images(2, 15, 22))
    assert found == "its probabilities differ from those of PyTorch by " + found.split(" by ")[1]
    assert "more than -1" in found
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_is_told(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr("reports.bundle.onnx_file._export", fails)
    found = write_onnx(tmp_path / "model.onnx", made(), images(2, 16, 24))
    assert found == "the export failed (RuntimeError: no such operator)"
