from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.memory_errors import ForwardInParts, is_out_of_memory

CPU = torch.device("cpu")


class Small(nn.Module):
    """Computes so many images at a time, and notes how many it was given."""

    def __init__(self, fits, error=torch.OutOfMemoryError):
        super().__init__()
        self.fits, self.error, self.given = fits, error, []

    def forward(self, images):
        self.given.append(len(images))
        if len(images) > self.fits:
            raise self.error("CUDA out of memory")
        return images * 2


@pytest.mark.parametrize(
    ("fits", "count", "given"),
    [
        (16, 16, [16]),
        (15, 16, [16, 8, 8]),
        (8, 16, [16, 8, 8]),
        (7, 16, [16, 8, 4, 4, 4, 4]),
        (2, 5, [5, 3, 2, 2, 1]),
        (1, 3, [3, 2, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_a_batch_that_does_not_fit_is_computed_in_halves(fits, count, given, error):
    model, images = Small(fits, error), torch.arange(count).reshape(count, 1, 1, 1).float()
    assert torch.equal(ForwardInParts(model, CPU, bf16=False)(images), images * 2)
    assert model.given == given


def test_later_batches_begin_with_what_fitted():
    model = Small(4)
    forward = ForwardInParts(model, CPU, bf16=False)
    for count in (8, 8, 3):
        forward(torch.zeros(count, 1, 1, 1))
    assert model.given == [8, 4, 4, 4, 4, 3]


def test_one_image_that_does_not_fit_is_out_of_memory():
    with pytest.raises(torch.OutOfMemoryError):
        ForwardInParts(Small(0), CPU, bf16=False)(torch.zeros(4, 1, 1, 1))


def test_other_errors_are_not_tried_again():
    model = Small(4, lambda text: RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        ForwardInParts(model, CPU, bf16=False)(torch.zeros(8, 1, 1, 1))
    assert model.given == [8]


def test_it_computes_in_the_precision_that_was_asked_for():
    layer = nn.Conv2d(1, 2, 1)
    for bf16, expected in ((False, torch.float32), (True, torch.bfloat16)):
        assert ForwardInParts(layer, CPU, bf16=bf16)(torch.zeros(2, 1, 3, 3)).dtype == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError(), True),
        (MemoryError(), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError(), False),
        (ValueError("a rule"), False),
    ],
)
def test_what_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
