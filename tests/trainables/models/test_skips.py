from __future__ import annotations

import pytest
import torch

from trainables.models.skips import AttentionGate, Concat


@pytest.fixture
def skip_and_up():
    torch.manual_seed(0)
    return torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6)


def test_concat_puts_the_encoders_features_first(skip_and_up):
    joined = Concat(8)(*skip_and_up)
    assert torch.equal(joined[:, :8], skip_and_up[0])
    assert torch.equal(joined[:, 8:], skip_and_up[1])


@pytest.mark.parametrize(("bias", "passed"), [(40.0, 1.0), (-40.0, 0.0)])
def test_the_gate_scales_the_encoders_features_alone(skip_and_up, bias, passed):
    gate = AttentionGate(8)
    torch.nn.init.constant_(gate.psi.bias, bias)
    joined = gate(*skip_and_up)
    torch.testing.assert_close(joined[:, :8], passed * skip_and_up[0])
    assert torch.equal(joined[:, 8:], skip_and_up[1])


def test_a_pixel_has_one_weight_for_all_channels_and_both_inputs_set_it(skip_and_up):
    gate = AttentionGate(8).eval()
    skip, up = skip_and_up

    def weights(skip, up):
        ratio = gate(skip, up)[:, :8] / skip
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-4, atol=1e-4)
        return ratio[:, 0]

    before = weights(skip, up)
    assert before.min() > 0
    assert before.max() < 1
    for other in (weights(skip + 1, up), weights(skip, up + 1)):
        assert (other - before).abs().max() > 1e-3


def test_gates_begin_by_letting_features_through():
    torch.manual_seed(0)
    skip, up = torch.randn(4, 32, 16, 16), torch.randn(4, 32, 16, 16)
    passed = AttentionGate(32)(skip, up)[:, :32] / skip
    assert passed.mean() > 0.75
