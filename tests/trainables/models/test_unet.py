from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.models import build_model
from trainables.models.config import ModelConfig
from trainables.models.unet import UNet


def build(**fields) -> UNet:
    torch.manual_seed(0)
    return build_model(ModelConfig(**{"depth": 2, "width": 4, **fields}), in_channels=1, num_classes=5)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_each_stage_halves_the_size_and_doubles_the_channels(depth):
    model = build(depth=depth)
    seen = []
    for stage in [*model.encoder, model.bottleneck, *model.decoder]:
        stage.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
    model(torch.rand(2, 1, 64, 128))
    down = [(4 * 2**stage, 64 // 2**stage, 128 // 2**stage) for stage in range(depth + 1)]
    assert seen == down + down[-2::-1]


def test_dropout_drops_whole_channels_while_training_only():
    model = build(dropout=0.5, width=32)
    seen = []
    model.bottleneck.register_forward_hook(lambda module, inputs, output: seen.append(output))
    image = torch.rand(2, 1, 32, 32)
    model(image)
    model.eval()(image)
    dropped, kept = ((features.abs().amax((2, 3)) == 0).float().mean().item() for features in seen)
    assert dropped == pytest.approx(0.5, abs=0.15)
    assert kept < 0.05


def test_dropout_is_in_every_decoder_stage_but_the_last_and_absent_at_zero():
    def places(model: UNet) -> list[bool]:
        return [any(isinstance(m, nn.Dropout2d) for m in part.modules()) for part in (model.bottleneck, *model.decoder)]

    assert places(build(depth=3, dropout=0.1)) == [True, True, True, False]
    assert places(build(depth=3)) == [False] * 4


def test_upsampling_keeps_the_scale():
    model = build(width=32)
    x = torch.randn(4, 128, 8, 8)
    assert model.upsample[0](x).std().item() == pytest.approx(1, rel=0.1)


def test_an_image_that_fits_is_not_padded_and_others_only_to_the_stride():
    model = build(depth=3).eval()
    seen = []
    model.encoder[0].register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    for size in [(8, 16), (16, 8), (9, 16), (7, 17), (8, 8), (1, 1)]:
        model(torch.rand(1, 1, *size))
    assert seen == [(8, 16), (16, 8), (16, 16), (8, 24), (8, 16), (8, 16)]


def test_more_input_channels():
    model = build_model(ModelConfig(depth=2, width=2), in_channels=3, num_classes=2)
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 2, 8, 8)
