from __future__ import annotations

import dataclasses

import pytest
import torch

from trainables.models import build_model
from trainables.models.config import ModelConfig
from trainables.profiling.footprint import footprint

HEAVIER = [
    {"width": 8},
    {"depth": 3},
    {"block": "residual"},
    {"skip": "attention"},
    {"bottleneck": "aspp"},
    {"background": "joint"},
    {"deep_supervision": 0.5},
]


@pytest.fixture
def of_model(tiny, tiny_config):
    return lambda **changes: footprint(
        dataclasses.replace(tiny_config, model=ModelConfig(**{"depth": 2, "width": 4} | changes)), tiny
    )


@pytest.mark.parametrize("changes", HEAVIER, ids=str)
def test_what_is_added_to_a_network_shows(changes, of_model):
    assert of_model(**changes).bytes(8) > of_model().bytes(8)


def test_parameters_are_those_of_the_network(of_model, tiny):
    described = tiny.description
    model = build_model(ModelConfig(depth=2, width=4), in_channels=1, num_classes=described.num_classes)
    assert of_model().parameters == sum(parameter.numel() for parameter in model.parameters())


def test_activations_are_what_a_real_forward_pass_keeps(of_model, tiny):
    """Up to a few: an operator may keep one thing more on a device than by shapes."""
    model = build_model(ModelConfig(depth=2, width=4), in_channels=1, num_classes=tiny.description.num_classes)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.outputs(torch.rand(2, 1, *tiny.images.shape[1:]))
    own = {parameter.untyped_storage().data_ptr() for parameter in (*model.parameters(), *model.buffers())}
    real = sum(storage.nbytes() for key, storage in kept.items() if key not in own) / 2
    assert of_model().activations == pytest.approx(real, rel=0.2)


def test_a_batch_takes_its_images_and_the_weights_once(of_model):
    found = of_model()
    assert found.bytes(9) - found.bytes(1) == 8 * found.activations
    assert found.bytes(1) == 16 * found.parameters + found.activations
