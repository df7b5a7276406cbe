"""Writes the bundle of a report: the predictor that makes the submission, in a folder of its own."""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from reports.bundle.contents import CARD, CONTENTS, ONNX, WEIGHTS, Contents, Member, digest
from reports.bundle.model_card import model_card
from reports.bundle.onnx_file import CHECKED, OnnxFacts, write_onnx
from reports.inputs import StudyFacts
from reports.prediction.scores_with_intervals import Confusions, Interval
from reports.prediction.scoring import Scored
from trainables.atomic_write import atomic_folder
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.prediction.predictor import FLIPS, Predictor
from trainables.prediction.tiling import Tiling
from trainables.uris import without_keys

FOLDER = "model"
"""Name of the bundle's folder, in that of the report."""
SOFTWARE = ("mars-search", "torch", "numpy", "safetensors", "onnx", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The models of a predictor, and how they were trained."""

    models: Mapping[int, nn.Module]
    """Keyed by the number of their trial."""
    configs: Mapping[int, TrialConfig]
    """Configurations of those that were trained by the report; the others are those of their trials."""
    retrained: int | None
    """Number of the trial that was trained on all labelled images."""
    never: str | None
    """A warning about classes that are never predicted."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was written."""

    folder: Path
    onnx: OnnxFacts | None
    """Facts about the ONNX file; None without one."""
    without_onnx: str | None
    """Why there is no ONNX file; None if there is one, or if none was asked for."""


def write_bundle(facts: StudyFacts, scored: Scored, trained: Trained, *, onnx: bool) -> Bundle:
    """Write the bundle of a predictor, in place of an earlier one.

    Args:
        facts: the study.
        scored: the predictor, and its scores.
        trained: its models.
        onnx: whether to write an ONNX file too.

    Raises:
        OSError: if it cannot be written.
    """
    settings, target = scored.choice.predictor, facts.output / FOLDER
    contents = Contents(
        description=facts.data.description,
        pixels=facts.data.pixels,
        tile=facts.data.crop,
        members=tuple(_member(facts, trained, number, count) for number, count in Counter(settings.members).items()),
        flips=settings.flips,
        decision=settings.decision,
        suppressed=settings.suppressed,
        precision=facts.settings.precision,
        metric=facts.metric,
        about=_about(facts, scored, trained),
    )
    found: OnnxFacts | str | None = None
    with atomic_folder(target) as new:
        (new / WEIGHTS).write_bytes(_weights(contents, trained.models))
        if onnx:
            networks = [_on_cpu(trained.models[member.trial]) for member in contents.members]
            found = write_onnx(new / ONNX, _fp32(contents, networks), _examples(facts.data))
        facts_of_onnx = dataclasses.asdict(found) if isinstance(found, OnnxFacts) else None
        files = {name: digest(new / name) for name in (WEIGHTS, ONNX) if (new / name).exists()}
        contents = dataclasses.replace(contents, files=files, onnx=facts_of_onnx)
        (new / CONTENTS).write_text(contents.to_json(), encoding="utf-8")
        (new / CARD).write_text(model_card(contents, facts.folder.name), encoding="utf-8")
    return Bundle(
        folder=target,
        onnx=found if isinstance(found, OnnxFacts) else None,
        without_onnx=found if isinstance(found, str) else None,
    )


def _member(facts: StudyFacts, trained: Trained, number: int, count: int) -> Member:
    config = trained.configs.get(number) or TrialConfig.from_flat(facts.record(number).config)
    return Member(
        trial=number,
        weight=count,
        configuration=config.to_flat(),
        trained_on="all labelled images" if number == trained.retrained else "train part",
    )


def _weights(contents: Contents, models: Mapping[int, nn.Module]) -> bytes:
    return save(
        {
            member.prefix + name: tensor.cpu().contiguous()
            for member in contents.members
            for name, tensor in models[member.trial].state_dict().items()
        }
    )


def _on_cpu(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _fp32(contents: Contents, networks: list[nn.Module]) -> Predictor:
    return Predictor(
        models=networks,
        pixels=contents.pixels,
        device=torch.device("cpu"),
        bf16=False,
        suppressed=contents.suppressed,
        flips=FLIPS[: contents.flips],
        weights=[member.weight for member in contents.members],
        decision=contents.decision,
    )


def _examples(data: PreparedData) -> np.ndarray:
    """Return images of the test part, or crops from them; if it is small, of the other parts as well."""
    indices = np.concatenate([data.split[part] for part in ("test", "val", "train")])
    height, width = data.crop
    tiling = Tiling(height=height, width=width)
    return np.stack([tiling.padded(data.images[index])[:height, :width] for index in indices[:CHECKED]])


def _about(facts: StudyFacts, scored: Scored, trained: Trained) -> dict[str, Any]:
    data, settings = facts.data, dataclasses.asdict(facts.settings)
    settings |= {name: without_keys(settings[name]) for name in ("data", "checkpoints")}
    versions = {"python": platform.python_version()}
    for name in SOFTWARE:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": {"name": facts.folder.name, "identity": facts.identity, "settings": settings},
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "images": {part: len(indices) for part, indices in data.split.items()},
            "split": data.report.split_name,
            "synthetic": data.report.synthetic,
        },
        "predictor": scored.choice.predictor.describe(data.description.class_names),
        "scores": {"validation": _scores(scored.validation), "held-out test": _scores(scored.test)},
        "retrained": trained.retrained,
        "never_predicted": trained.never,
        "software": versions,
    }


def _scores(confusions: Confusions) -> dict[str, Any]:
    return {
        "images": len(confusions.counts),
        "score": _numbers(confusions.interval()),
        "classes": {name: _numbers(interval) for name, interval in confusions.class_intervals().items()},
    }


def _numbers(interval: Interval) -> list[float | None]:
    """Return the score and the ends of its interval; None in place of a number that there is not."""
    return [None if np.isnan(number) else number for number in (interval.value, interval.low, interval.high)]
