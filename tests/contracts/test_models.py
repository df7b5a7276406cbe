"""What every block, skip connection and bottleneck must do inside a U-Net. A new registry entry is tested as it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from trainables.models import BLOCKS, BOTTLENECKS, SKIPS, UNet, build_model
from trainables.models.config import ModelConfig

PARTS = (
    [{"block": name} for name in BLOCKS]
    + [{"skip": name} for name in SKIPS]
    + [{"bottleneck": name} for name in BOTTLENECKS]
    + [{"class_head": "auxiliary"}, {"class_head": "gate"}]
    + [{"deep_supervision": 0.5}, {"background": "joint"}]
    + [{"block": list(BLOCKS)[-1], "skip": list(SKIPS)[-1], "bottleneck": list(BOTTLENECKS)[-1], "dropout": 0.3}]
)
every_part = pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(map(str, parts.values())))


def make(parts: dict, *, depth: int = 2, width: int = 4, classes: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    config = ModelConfig(depth=depth, width=width, **parts)
    return build_model(config, in_channels=1, num_classes=classes, ignored_label=0)


def heads(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The classifiers that predict."""
    return [network.head for network in model.modules() if isinstance(network, UNet)]


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
    outputs = model.outputs(torch.rand(3, 1, 16, 24))
    every = [outputs.logits, *(logits for _, logits in outputs.auxiliary)]
    every += [logits for logits in (outputs.background, outputs.presence) if logits is not None]
    torch.stack([(logits * torch.randn_like(logits)).sum() for logits in every]).sum().backward()
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
    for head in heads(model):
        torch.nn.init.normal_(head.weight)  # logits of the size that they have after training
    image = torch.rand(2, 1, 16, 24)
    expected = model(image)
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image.contiguous(memory_format=torch.channels_last))
    if "background" not in parts:  # log-probabilities of two networks are computed in fp32
        assert logits.dtype == torch.bfloat16
        assert logits.is_contiguous(memory_format=torch.channels_last)
    assert (logits.float() - expected).abs().mean() < 0.05 * expected.abs().mean()


@every_part
@pytest.mark.parametrize("classes", [2, 5])
def test_all_classes_are_about_equally_likely_at_the_start(parts, classes):
    logits = make(parts, width=16, classes=classes).outputs(torch.rand(2, 1, 32, 32)).logits
    loss = functional.cross_entropy(logits, torch.randint(classes, (2, 32, 32)))
    assert loss.item() == pytest.approx(math.log(classes), abs=0.02)


@every_part
def test_features_keep_their_scale_from_the_image_to_the_classifier(parts):
    model = make(parts, depth=4, width=8)
    seen = []
    for head in heads(model):
        head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(torch.rand(4, 1, 64, 64))
    assert all(0.3 < features.square().mean().sqrt() < 3 for features in seen)


@every_part
def test_the_seed_decides_the_initial_weights(parts):
    first, second = make(parts).state_dict(), make(parts).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_part
def test_a_few_steps_fit_an_image(parts):
    model = make(parts | {"dropout": 0.0}, width=8)
    image, target = torch.rand(2, 1, 16, 16), torch.ones(2, 16, 16, dtype=torch.int64)
    target[:, 4:12, 4:12] = 2
    image[:, 0] += target
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = functional.cross_entropy(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@every_part
def test_the_whole_network_is_one_graph_for_the_compiler(parts):
    torch.compiler.reset()  # it compiles a function anew only so many times in a process
    model = make(parts).eval()
    image = torch.rand(1, 1, 16, 24)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(image), model(image))


@pytest.mark.parametrize("size", [(16, 24), (13, 18)])
def test_auxiliary_heads_see_coarser_stages_at_full_size_and_weigh_half_as_much_each(size):
    model = make({"deep_supervision": 0.4}, depth=4)
    outputs = model.outputs(torch.rand(2, 1, *size))
    assert [weight for weight, _ in outputs.auxiliary] == [0.1, 0.2, 0.4]
    assert all(logits.shape == outputs.logits.shape for _, logits in outputs.auxiliary)
    model.eval()
    image = torch.rand(2, 1, *size)
    for head in model.auxiliary_heads:
        head.register_forward_hook(lambda *_: pytest.fail("an auxiliary head ran at inference"))
    model(image)


def test_a_pair_predicts_probabilities_that_combine_both_networks():
    pair = make({"background": "joint"}).eval()
    for head in heads(pair):
        torch.nn.init.normal_(head.weight)
    image = torch.rand(2, 1, 16, 24)
    probabilities = pair(image).exp()
    background = pair.background(image)[:, 0].sigmoid()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 16, 24))
    torch.testing.assert_close(probabilities[:, 0], background)
    terrain = pair.terrain(image)[:, 1:].softmax(1) * (1 - background).unsqueeze(1)
    torch.testing.assert_close(probabilities[:, 1:], terrain)


def test_a_background_network_needs_an_ignored_label():
    with pytest.raises(ValueError, match="no ignored label"):
        build_model(ModelConfig(background="joint"), in_channels=1, num_classes=5)


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
        (ModelConfig(depth=3, width=16, skip="add"), 434_133),
        (ModelConfig(depth=3, width=16, skip="fusion"), 434_357),
        (ModelConfig(depth=3, width=16, skip="gated"), 493_381),
        (ModelConfig(depth=3, width=16, deep_supervision=0.5), 483_007),
        (ModelConfig(depth=3, width=16, background="joint"), 964_966),
    ],
    ids=str,
)
def test_parameter_counts(config, parameters):
    model = build_model(config, in_channels=1, num_classes=5, ignored_label=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("field", "registry"), [("block", BLOCKS), ("skip", SKIPS), ("bottleneck", BOTTLENECKS)])
def test_an_unknown_name_is_refused_with_the_known_ones(field, registry):
    config = ModelConfig()
    object.__setattr__(config, field, "magic")
    with pytest.raises(ValueError, match=rf"unknown .* 'magic': must be one of {', '.join(registry)}"):
        build_model(config, in_channels=1, num_classes=5)
