"""What every block, skip connection and bottleneck must do inside a U-Net. A new registry entry is tested as it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from trainables.config import ModelConfig
from trainables.models import BLOCKS, BOTTLENECKS, SKIPS, build_model

PARTS = (
    [{"block": name} for name in BLOCKS]
    + [{"skip": name} for name in SKIPS]
    + [{"bottleneck": name} for name in BOTTLENECKS]
    + [{"block": list(BLOCKS)[-1], "skip": list(SKIPS)[-1], "bottleneck": list(BOTTLENECKS)[-1], "dropout": 0.3}]
)
every_part = pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(map(str, parts.values())))


def make(parts: dict, *, depth: int = 2, width: int = 4, classes: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(ModelConfig(depth=depth, width=width, **parts), in_channels=1, num_classes=classes)


@every_part
@pytest.mark.parametrize("depth", [2, 5])
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (33, 65), (64, 128)])
def test_one_image_of_any_size_in_training_and_evaluation(parts, depth, size):
    model = make(parts, depth=depth, width=2)
    image = torch.rand(1, 1, *size)
    for training in (True, False):
        logits = model.train(training)(image)
        assert logits.shape == (1, 5, *size)
        assert logits.isfinite().all()


@every_part
def test_an_odd_size_is_the_image_continued_by_its_border(parts):
    model = make(parts).eval()
    image = torch.rand(2, 1, 13, 18)
    continued = functional.pad(image, (0, 2, 0, 3), mode="replicate")
    torch.testing.assert_close(model(image), model(continued)[..., :13, :18])


@every_part
def test_gradients_reach_every_parameter(parts):
    model = make(parts)
    logits = model(torch.rand(3, 1, 16, 24))
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@every_part
def test_evaluation_is_deterministic_and_each_image_is_judged_alone(parts):
    model = make(parts)
    model(torch.rand(4, 1, 16, 24))  # moves the running statistics away from where they start
    model.eval()
    images = torch.rand(3, 1, 16, 24)
    logits = model(images)
    assert torch.equal(logits, model(images))
    torch.testing.assert_close(logits[1:2], model(images[1:2]))


@every_part
def test_bf16_in_channels_last_agrees_with_fp32(parts):
    model = make(parts, width=8).eval()
    torch.nn.init.normal_(model.head.weight)  # logits of the size that they have after training
    image = torch.rand(2, 1, 16, 24)
    expected = model(image)
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image.contiguous(memory_format=torch.channels_last))
    assert logits.dtype == torch.bfloat16
    assert logits.is_contiguous(memory_format=torch.channels_last)
    assert (logits.float() - expected).abs().mean() < 0.05 * expected.abs().mean()


@every_part
@pytest.mark.parametrize("classes", [2, 5])
def test_all_classes_are_about_equally_likely_at_the_start(parts, classes):
    logits = make(parts, width=16, classes=classes)(torch.rand(2, 1, 32, 32))
    loss = functional.cross_entropy(logits, torch.randint(classes, (2, 32, 32)))
    assert loss.item() == pytest.approx(math.log(classes), abs=0.02)


@every_part
def test_features_keep_their_scale_from_the_image_to_the_classifier(parts):
    model = make(parts, depth=4, width=8)
    seen = []
    model.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(torch.rand(4, 1, 64, 64))
    assert 0.3 < seen[0].square().mean().sqrt() < 3


@every_part
def test_the_seed_decides_the_initial_weights(parts):
    first, second = make(parts).state_dict(), make(parts).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_part
def test_a_few_steps_fit_an_image(parts):
    model = make(parts | {"dropout": 0.0}, width=8)
    image, target = torch.rand(2, 1, 16, 16), torch.zeros(2, 16, 16, dtype=torch.int64)
    target[:, 4:12, 4:12] = 1
    image[:, 0] += target
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = functional.cross_entropy(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # stage: 9 in out + 9 out out + 4 out (two normalisations); up: 4 in out + out; head: 5 (width + 1)
        (ModelConfig(depth=2, width=4), 7_497),
        (ModelConfig(depth=3, width=16), 482_517),
        (ModelConfig(depth=4, width=32), 7_762_597),
        (ModelConfig(depth=3, width=16, block="residual"), 504_741),
        (ModelConfig(depth=3, width=16, skip="attention"), 488_064),
        (ModelConfig(depth=3, width=16, bottleneck="aspp"), 622_325),
    ],
    ids=str,
)
def test_parameter_counts(config, parameters):
    model = build_model(config, in_channels=1, num_classes=5)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("field", "registry"), [("block", BLOCKS), ("skip", SKIPS), ("bottleneck", BOTTLENECKS)])
def test_an_unknown_name_is_refused_with_the_known_ones(field, registry):
    config = ModelConfig()
    object.__setattr__(config, field, "magic")
    with pytest.raises(ValueError, match=rf"unknown .* 'magic': known are {', '.join(registry)}"):
        build_model(config, in_channels=1, num_classes=5)
