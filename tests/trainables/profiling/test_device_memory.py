from __future__ import annotations

import sys

import pytest
import torch

from trainables.profiling.device_memory import device_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SIZE = 64 * 2**20


def test_the_peak_holds_what_has_been_freed_since_and_is_measured_anew():
    memory = device_memory(torch.device("cpu"))
    memory.reset()
    before = memory.peak()
    block = torch.ones(SIZE // 4)
    del block
    assert SIZE * 0.9 < memory.peak() - before < SIZE * 1.5
    memory.reset()
    assert memory.peak() - before < SIZE * 0.5
    assert memory.peak() < memory.total


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_the_peak_holds_the_context_too():
    memory = device_memory(torch.device("cuda"))
    block = torch.ones(SIZE // 4, device="cuda")
    memory.reset()
    assert memory.peak() > SIZE + 50 * 2**20
    del block
    assert memory.peak() < memory.total
