"""Loads the model of a bundle."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from reports.bundle.contents import CONTENTS, WEIGHTS, Contents, Member, digest, read_contents
from reports.bundle.model import Model
from trainables.device import default_device, place
from trainables.models.build import build_model
from trainables.models.config import ModelConfig
from trainables.validation import from_flat_fields, takes

PLACES = ("", "model", "report/model")
"""Where the bundle of a folder is looked for: the folder may be the bundle itself, a report, or a study."""


def load_model(folder: str | Path, device: str | torch.device | None = None) -> Model:
    """Load a model that a report wrote. Nothing that its files name is imported or run.

    Args:
        folder: the folder of a study (`runs/NAME`), of its report, or the bundle itself, wherever it was copied to.
        device: where to compute, such as "cpu" or "cuda:1"; default: the GPU if there is one.

    Raises:
        ValueError: if the folder holds no model, a file of it is damaged, or the device cannot be used.
    """
    bundle = bundle_folder(Path(folder))
    contents = read_contents(bundle / CONTENTS)
    chosen = _device(device)
    return Model(contents, _networks(bundle / WEIGHTS, contents, chosen), chosen)


def bundle_folder(folder: Path) -> Path:
    """Return the folder of the bundle in or below a folder.

    Raises:
        ValueError: if there is none; says what to do.
    """
    for inside in PLACES:
        if (folder / inside / CONTENTS).is_file():
            return folder / inside
    if "://" in str(folder) or str(folder).startswith(("s3:/", "gs:/", "file:/")):
        raise ValueError(f"{folder}: copy the model to this machine first, it is a folder of a few files")
    if not folder.exists():
        raise ValueError(f"{folder}: there is no such folder: give that of a study (runs/NAME) or of its model")
    looked_for = ", ".join(f"{inside}/{CONTENTS}".lstrip("/") for inside in PLACES)
    raise ValueError(
        f"{folder}: contains no model (looked for {looked_for}); a report writes one: python reports/run.py RUN"
    )


def _device(asked: str | torch.device | None) -> torch.device:
    if asked is None:
        return default_device()
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {str(asked)!r} cannot be used here ({str(error).splitlines()[0]})") from error
    return device


def _networks(path: Path, contents: Contents, device: torch.device) -> list[nn.Module]:
    try:
        if digest(path) != contents.files.get(WEIGHTS):
            raise ValueError(f"{path}: is damaged, or belongs to another model: copy the whole folder again")
        weights = load_file(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise ValueError(f"{path}: is not a file of weights ({error})") from error
    return [_network(path, contents, member, weights, device) for member in contents.members]


def _network(
    path: Path, contents: Contents, member: Member, weights: dict[str, torch.Tensor], device: torch.device
) -> nn.Module:
    described, begins = contents.description, "model."
    flat = {key.removeprefix(begins): each for key, each in member.configuration.items() if key.startswith(begins)}
    what = f"{path.with_name(CONTENTS)}: trial {member.trial}"
    if unknown := [key for key in flat if not takes(ModelConfig, key)]:
        raise ValueError(f"{what} has the setting {begins}{unknown[0]}, which this version does not know")
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
            network = build_model(
                from_flat_fields(ModelConfig, flat),
                in_channels=contents.pixels.channels,
                num_classes=described.num_classes,
                ignored_label=described.ignored_label,
            )
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:  # also of sizes that do not fit in memory
        raise ValueError(f"{what}: {str(error).splitlines()[0]}") from error
    own = {name.removeprefix(member.prefix): each for name, each in weights.items() if name.startswith(member.prefix)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]  # of as many lines as there are layers
        raise ValueError(f"{path}: holds the weights of another model ({first[0].strip()})") from error
    return place(network, device).eval()
