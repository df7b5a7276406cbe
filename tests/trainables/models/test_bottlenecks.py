from __future__ import annotations

import pytest
import torch

from trainables.models.bottlenecks import ASPP, PyramidPooling


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


def test_pyramid_pooling_puts_means_over_its_grids_beside_the_features():
    """With the identity for each convolution, on a map whose cells' means are known."""
    pooling = PyramidPooling(4).eval()
    for layer in pooling.means:
        torch.nn.init.zeros_(layer.weight)
        layer.weight.data[0, 0] = 1.0
    joined = []
    pooling.project.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0]))
    x = torch.zeros(1, 4, 6, 6)
    x[0, 0] = torch.arange(36).view(6, 6)
    pooling(x)
    ((joined),) = joined
    assert joined.shape == (1, 8, 6, 6)
    torch.testing.assert_close(joined[:, :4], x)
    whole, halves, thirds, cells = joined[0, 4:]
    torch.testing.assert_close(whole, torch.full((6, 6), 17.5))
    torch.testing.assert_close(halves[::5, ::5], torch.tensor([[7.0, 10.0], [25.0, 28.0]]))  # of 3x3 pixels each
    torch.testing.assert_close(thirds[::5, ::5], torch.tensor([[3.5, 7.5], [27.5, 31.5]]))  # of 2x2
    torch.testing.assert_close(cells, x[0, 0])


def test_a_single_image_trains_with_pyramid_pooling():
    assert PyramidPooling(8).train()(torch.rand(1, 8, 1, 2)).isfinite().all()
