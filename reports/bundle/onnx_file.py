"""The ONNX file of a bundle: one graph of all members, checked against PyTorch on real images.

Input `pixels`: (N, channels, H, W) float32, stored pixels scaled to [0, 1] (whole numbers up to 255, over 255).
Outputs: `probabilities` (N, C, H, W) float32, averaged over members and flips, and `labels` (N, H, W) int64, by the
decision of the model, but without its smallest region, which is no operation on tensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.export import Dim

from trainables.data.pixel_format import PixelFormat
from trainables.models import BackgroundPair, UNet
from trainables.prediction.ignored_class import suppress
from trainables.prediction.predictor import Predictor

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
"""Version of the operators: ONNX Runtime reads it from 1.17 on (January 2024)."""
TOLERANCE = 1e-4
"""Largest difference of a probability between PyTorch and ONNX Runtime, both in fp32."""
CHECKED = 16
"""Number of images that are compared."""


@dataclass(frozen=True, kw_only=True)
class OnnxFacts:
    """What is known of an ONNX file."""

    opset: int
    multiple_of: int | None
    """Height and width of the input may be any multiples of this; None: they are those of the training images."""
    checked: int
    """Number of images that were compared with PyTorch."""
    largest_difference: float
    """Largest difference of a probability."""
    differing_pixels: float
    """Share of the pixels with another label, in [0, 1]."""
    tolerance: float = TOLERANCE


class Graph(nn.Module):
    """All that turns scaled pixels into probabilities and labels.

    Args:
        predictor: the predictor, whose models are on the CPU.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.networks = nn.ModuleList(predictor.models)
        parts = np.array(predictor.weights or [1.0] * len(predictor.models), dtype=np.float64)
        self._parts = [float(part) for part in parts / parts.sum()]
        self._flips, self._suppressed = predictor.flips, predictor.suppressed
        self._decision = dataclasses.replace(predictor.decision, smallest=0)
        shape = (1, predictor.pixels.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(predictor.pixels.mean).view(shape))
        self.register_buffer("std", torch.tensor(predictor.pixels.std).view(shape))

    def forward(self, pixels_nchw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch = (pixels_nchw - self.mean) / self.std
        views = torch.cat([batch.flip(dims) for dims in self._flips])  # one pass through each network: a smaller graph
        probabilities = torch.zeros(())
        for network, part in zip(self.networks, self._parts, strict=True):
            found = suppress(network(views).float(), self._suppressed).softmax(1)
            found = found.reshape(len(self._flips), -1, *found.shape[1:])
            for view, dims in zip(found, self._flips, strict=True):
                probabilities = probabilities + view.flip(dims) * (part / len(self._flips))
        return probabilities, self._decision.labels(probabilities)


def check_libraries() -> None:
    """Raise a ValueError if a library for ONNX files is missing."""
    if missing := [name for name in LIBRARIES if importlib.util.find_spec(name) is None]:
        raise ValueError(
            f"the ONNX file needs {', '.join(missing)}: install the project again (pip install -c constraints.txt .), "
            "or leave the file out with --no-onnx"
        )


def scaled_pixels(images: np.ndarray, pixels: PixelFormat) -> np.ndarray:
    """Return the input of the graph, (N, channels, H, W) float32, of stored pixels (N, H, W) or (N, H, W, channels)."""
    scaled = images.astype(np.float32) * np.float32(pixels.scale)
    return np.ascontiguousarray(scaled[:, None] if images.ndim == 3 else np.moveaxis(scaled, -1, 1))


def write_onnx(path: Path, predictor: Predictor, images: np.ndarray) -> OnnxFacts | str:
    """Export a predictor, and compare the file with PyTorch in fp32.

    Height and width are dynamic if the networks allow it: pyramid pooling does not, and padding, which images need
    whose size is no multiple of the stride, is computed for one size.

    Args:
        path: the file to write.
        predictor: the predictor, in fp32, with its models on the CPU.
        images: stored pixels of real images of the size that it was trained on, at least one.

    Returns: what was found; or, without a file, why there is none: the export failed, or the file differs from PyTorch
        by more than the tolerance.
    """
    images, stride = images[:CHECKED], max(_stride(model) for model in predictor.models)
    scaled, graph = scaled_pixels(images, predictor.pixels), Graph(predictor).eval()
    fitting = all(size % stride == 0 and size > stride for size in scaled.shape[-2:])
    why = ""
    for multiple_of in (stride, None) if fitting else (None,):
        with _quiet():
            try:
                _export(path, graph, scaled, multiple_of)
            except Exception as error:  # the exporter raises errors of many kinds
                said = str(error).strip().partition("\n")[0]
                why = f"the export failed ({type(error).__name__}: {said})"
                continue
        others = [] if multiple_of is None else [_other_size(images, stride)]
        found = [_compared(path, predictor, batch) for batch in (images, *others)]
        largest = max(difference for difference, _ in found)
        why = f"its probabilities differ from those of PyTorch by {largest:.1g}, more than {TOLERANCE:g}"
        if largest <= TOLERANCE:
            return OnnxFacts(
                opset=OPSET,
                multiple_of=multiple_of,
                checked=len(images),
                largest_difference=found[0][0],
                differing_pixels=found[0][1],
            )
    path.unlink(missing_ok=True)
    return why


def _stride(model: nn.Module) -> int:
    """Return what the size of images must be a multiple of, so that the network pads none."""
    network = model.terrain if isinstance(model, BackgroundPair) else model
    return cast("UNet", network).stride


def _export(path: Path, graph: Graph, scaled: np.ndarray, multiple_of: int | None) -> None:
    sizes: dict[int, Any] = {0: Dim("batch")}
    if multiple_of is not None:
        sizes |= {2: multiple_of * Dim("rows", min=2), 3: multiple_of * Dim("columns", min=2)}
    example = torch.from_numpy(np.repeat(scaled[:1], 2, axis=0))  # a batch of one would be taken for fixed
    program = torch.onnx.export(
        graph,
        (example,),
        input_names=["pixels"],
        output_names=["probabilities", "labels"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=(sizes,),
        verbose=False,
    )
    assert program is not None
    program.save(str(path))


def _other_size(images: np.ndarray, stride: int) -> np.ndarray:
    """Return an image of another size: larger by different parts of a mirror image below and to the right."""
    return np.pad(images[:1], [(0, 0), (0, stride), (0, 2 * stride)] + [(0, 0)] * (images.ndim - 3), mode="symmetric")


def _compared(path: Path, predictor: Predictor, images: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of a probability, and the share of pixels with another label."""
    ours = torch.cat(list(predictor.probabilities(images)))
    labels = dataclasses.replace(predictor.decision, smallest=0).labels(ours).numpy()
    try:
        theirs, their_labels = run_onnx(path, scaled_pixels(images, predictor.pixels))
    except Exception:  # ONNX Runtime has error types of its own; a size that it cannot compute is a difference
        return float("inf"), 1.0
    difference = float(np.abs(theirs - ours.numpy()).max())
    return (difference if np.isfinite(difference) else float("inf")), float((labels != their_labels).mean())


def run_onnx(path: Path, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels that ONNX Runtime computes on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    probabilities, labels = session.run(None, {"pixels": scaled})
    return probabilities, labels


@contextlib.contextmanager
def _quiet() -> Any:
    """Context in which the exporter prints and warns nothing: its messages are about its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
