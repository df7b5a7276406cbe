from __future__ import annotations

import torch
from torch.nn import functional

from trainables.models import build_model
from trainables.models.config import ModelConfig


def model(class_head):
    torch.manual_seed(0)
    made = build_model(ModelConfig(depth=2, width=4, class_head=class_head), in_channels=1, num_classes=3).eval()
    if made.class_head is not None:
        torch.nn.init.normal_(made.class_head.weight)
    return made


def test_it_sees_the_bottlenecks_mean_features():
    made, bottom = model("auxiliary"), []
    made.bottleneck.register_forward_hook(lambda module, inputs, output: bottom.append(output))
    outputs = made.outputs(torch.rand(2, 1, 16, 24))
    expected = made.class_head(bottom[0].mean((2, 3), keepdim=True))[..., 0, 0]
    torch.testing.assert_close(outputs.presence, expected)
    assert outputs.presence.shape == (2, 3)


def test_as_an_auxiliary_task_it_leaves_the_pixels_alone_and_as_a_gate_it_adds_its_log_probabilities():
    images = torch.rand(2, 1, 16, 24)
    none, auxiliary, gate = model("none"), model("auxiliary"), model("gate")
    gate.load_state_dict(auxiliary.state_dict())
    weights = {name: value for name, value in auxiliary.state_dict().items() if not name.startswith("class_head")}
    none.load_state_dict(weights)
    assert none.outputs(images).presence is None
    torch.testing.assert_close(auxiliary(images), none(images))
    added = functional.logsigmoid(gate.outputs(images).presence)[..., None, None]
    torch.testing.assert_close(gate(images), none(images) + added)
    torch.testing.assert_close(gate.outputs(images).logits, gate(images))


def test_a_background_network_has_none():
    config = ModelConfig(depth=2, width=4, class_head="gate", background="joint")
    pair = build_model(config, in_channels=1, num_classes=3, ignored_label=0)
    assert pair.background.class_head is None
    assert pair.outputs(torch.rand(2, 1, 16, 24)).presence.shape == (2, 3)
