"""How much a network takes in training, reckoned without training it: to compare configurations by."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.models import build_model
from trainables.models.config import ModelConfig

FLOAT = 4
COPIES = 4
"""Of each weight: itself, its gradient and Adam's two moments."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """In fp32, without what the device's libraries add."""

    parameters: int
    activations: int
    """Bytes that one image leaves behind for the backward pass."""

    def bytes(self, batch_size: int = 1) -> int:
        """Of weights, gradients, the optimizer's state and a batch; one image is the least that training needs."""
        return COPIES * FLOAT * self.parameters + batch_size * self.activations


def footprint(config: TrialConfig, data: PreparedData) -> Footprint:
    """The footprint of a configuration on images of a data set."""
    described = data.description
    return _footprint(config.model, data.images.shape[1:], described.num_classes, described.ignored_label)


@functools.lru_cache(maxsize=1024)
def _footprint(config: ModelConfig, size: tuple[int, int], num_classes: int, ignored_label: int | None) -> Footprint:
    kept: dict[int, torch.UntypedStorage] = {}  # the storages themselves, so that no address comes twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    images = 2  # batch normalisation wants more than one
    with torch.device("meta"):  # shapes alone: nothing is allocated or computed
        model = build_model(config, in_channels=1, num_classes=num_classes, ignored_label=ignored_label)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.outputs(torch.empty(images, 1, *size))
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    return Footprint(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        activations=sum(storage.nbytes() for key, storage in kept.items() if key not in own) // images,
    )
