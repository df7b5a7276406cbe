from __future__ import annotations

import pytest
import torch

from trainables.models.bottlenecks import ASPP


@pytest.mark.parametrize("rates", [(1,), (2, 3), (1, 6, 12)])
def test_one_dilated_convolution_a_rate(rates):
    aspp = ASPP(16, rates).eval()
    assert [branch[0].dilation[0] for branch in aspp.branches if branch[0].kernel_size == (3, 3)] == list(rates)
    x = torch.rand(1, 16, 4, 8)  # smaller than the largest rate
    assert aspp(x).shape == x.shape


def test_every_output_pixel_sees_the_whole_image():
    torch.manual_seed(0)
    aspp = ASPP(16, (1,)).eval()
    x = torch.rand(1, 16, 12, 12, requires_grad=True)
    aspp(x)[0, :, 0, 0].sum().backward()
    seen = x.grad[0].abs().sum(0)
    assert (seen > 0).all()
    assert seen[:2, :2].min() > 10 * seen[2:, 2:].max()  # near pixels through the convolutions, far ones by the mean


def test_a_single_image_trains():
    aspp = ASPP(8, (1, 2)).train()
    assert aspp(torch.rand(1, 8, 1, 2)).isfinite().all()
