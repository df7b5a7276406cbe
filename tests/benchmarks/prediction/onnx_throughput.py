"""ONNX Runtime against PyTorch, both in fp32 on the CPU: images per second, and whether their masks are equal.

    python -m tests.benchmarks.prediction.onnx_throughput                   # windows of the built-in sample
    python -m tests.benchmarks.prediction.onnx_throughput --data mars.npz --bundle runs/mars/report/model

Without `--bundle`, a network of the search is trained for an epoch on the data first. The parts alternate, and each is
stated as the median of its rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from reports import load_model
from reports.bundle.onnx_file import OnnxFacts, scaled_pixels, write_onnx
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.models import ModelConfig
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.training.trainer import Training

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample", help="data set whose images are predicted (default: the sample)")
    parser.add_argument("--bundle", type=Path, help="default: depth 3, width 16, trained for an epoch")
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = prepare(DataSource(uri=options.data))
    labelled = np.asarray(data.images)
    images = np.resize(labelled, (options.windows, *labelled.shape[1:]))
    predictor = _trained(data) if options.bundle is None else load_model(options.bundle, "cpu").predictor
    predictor = dataclasses.replace(
        predictor,
        bf16=False,
        models=[model.to(memory_format=torch.contiguous_format) for model in predictor.models],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        started = time.perf_counter()
        found = write_onnx(path, predictor, images)
        if not isinstance(found, OnnxFacts):
            raise SystemExit(f"no ONNX file: {found}")
        print(
            f"{len(images):,} windows of {options.data}, {torch.get_num_threads()} threads; export in "
            f"{time.perf_counter() - started:.1f} s, opset {found.opset}"
        )
        _compare(path, predictor, images, options.rounds)


def _trained(data: PreparedData) -> Predictor:
    config = TrialConfig(model=ModelConfig(depth=3, width=16))
    training = Training(config, data, data.split["train"], torch.device("cpu"))
    training.train_epoch(1)
    return Predictor(
        models=[training.model.eval()],
        pixels=data.pixels,
        device=torch.device("cpu"),
        bf16=False,
        suppressed=data.description.ignored_label,
        flips=FLIPS[:2],
    )


def _compare(path: Path, predictor: Predictor, images: np.ndarray, rounds: int) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    plain = dataclasses.replace(predictor.decision, smallest=0)

    def with_torch() -> np.ndarray:
        return np.concatenate([plain.labels(found).numpy() for found in predictor.probabilities(images)])

    def with_onnx() -> np.ndarray:
        blocks = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate(
            [session.run(["labels"], {"pixels": scaled_pixels(b, predictor.pixels)})[0] for b in blocks]
        )

    parts: dict[str, Callable[[], np.ndarray]] = {"PyTorch": with_torch, "ONNX Runtime": with_onnx}
    masks: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, predict in parts.items():
            started = time.perf_counter()
            masks[name] = predict()
            seconds[name].append(time.perf_counter() - started)
    speeds = {name: len(images) / statistics.median(each) for name, each in seconds.items()}
    differing = float((masks["PyTorch"] != masks["ONNX Runtime"]).mean())
    print(f"differing pixels: {differing:.5%} of {masks['PyTorch'].size:,}")
    for name, speed in speeds.items():
        print(f"{name:>13}: {speed:8.1f} images/s")
    print(f"        ratio: {speeds['ONNX Runtime'] / speeds['PyTorch']:.2f}")


if __name__ == "__main__":
    main()
