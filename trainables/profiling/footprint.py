"""Estimates the training memory of a network without training it, to compare configurations."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.models import build_model
from trainables.models.config import ModelConfig

FLOAT = 4
"""Bytes of an fp32 number."""
COPIES = 4
"""Numbers stored for each weight: the weight, its gradient and the two moments of Adam."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Training memory in fp32, without the overhead of the device's libraries."""

    parameters: int
    """Number of parameters."""
    activations: int
    """Bytes per image that the forward pass saves for the backward pass."""

    def bytes(self, batch_size: int = 1) -> int:
        """Return the bytes of weights, gradients, optimizer state and the saved activations of a batch."""
        return COPIES * FLOAT * self.parameters + batch_size * self.activations


def footprint(config: TrialConfig, data: PreparedData) -> Footprint:
    """Return the footprint of a configuration for the images, or crops, of a data set."""
    described = data.description
    return _footprint(
        config.model,
        (data.pixels.channels, *data.crop),
        described.num_classes,
        described.ignored_label,
    )


@functools.lru_cache(maxsize=1024)
def _footprint(
    config: ModelConfig, image: tuple[int, int, int], num_classes: int, ignored_label: int | None
) -> Footprint:
    """Return the footprint for images (channels, height, width)."""
    kept: dict[int, torch.UntypedStorage] = {}  # holds the storages, so that no address is reused

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    images = 2  # batch normalisation may need more than one
    with torch.device("meta"):  # only shapes: nothing is allocated or computed
        model = build_model(config, in_channels=image[0], num_classes=num_classes, ignored_label=ignored_label)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.outputs(torch.empty(images, *image))
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    return Footprint(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        activations=sum(storage.nbytes() for key, storage in kept.items() if key not in own) // images,
    )
