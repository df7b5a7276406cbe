"""The receipt of a study, to the letter."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.ledger.records import Segment
from search.views.cost_table import receipt
from tests.made.studies import begin

RECEIPT = """\
cost of the study, all runs
┌──────────────────────────────────┬─────────────┬────────────────┐
│ start-up                         │  1 h 00 min │          45.5% │
│ training                         │ 28 min 00 s │          21.2% │
│ validation                       │  8 min 00 s │           6.1% │
│ checkpoints                      │  3 min 00 s │           2.3% │
│ waiting                          │ 33 min 00 s │          25.0% │
│ all trials                       │  2 h 12 min │ 1.00 GPU-hours │
├──────────────────────────────────┼─────────────┼────────────────┤
│ saved by stopping 2 trials early │  1 h 36 min │       8 epochs │
│ price                            │             │           1.25 │
└──────────────────────────────────┴─────────────┴────────────────┘
"""


@pytest.fixture
def costly(ledger, space, make_report):
    """A trial on 3 CPUs and half a GPU, 7200 s in all; one that was stopped after 1 of 9 epochs; one before its first.

    The seconds of the first: start-up 3600, training 1080, validation 360, checkpoints 180, waiting 1980. Those of the
    second: training 600, validation 120, and nobody knows what it held: it counts as one CPU.
    """

    def make(gpus):
        for _ in range(3):
            begin(ledger, space)
        parts = {"train_seconds": 1080.0, "val_seconds": 360.0, "checkpoint_seconds": 180.0}
        ledger.add_epoch(0, make_report(1, **parts))
        ledger.add_segment(0, Segment(start_seconds=3600, wait_seconds=1980, cpus=3, gpus=gpus))
        ledger.complete(0)
        ledger.add_epoch(1, make_report(1, train_seconds=600.0, val_seconds=120.0))
        ledger.prune(1)
        ledger.prune(2)
        return ledger.records()

    return make


def printed(table):
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_receipt_of_a_study(costly):
    """7200 s on half a GPU are 1 GPU-hour; start-up took 45.5 % of 7920 s in all; 8 epochs of 720 s were spared."""
    assert printed(receipt(costly(gpus=0.5), 9, 1.25)) == RECEIPT.splitlines()


def test_without_a_gpu_it_is_in_cpu_hours(costly):
    """7200 s on 3 CPUs are 6 hours, and 720 s on one CPU are 0.2, 0.1 each."""
    lines = printed(receipt(costly(gpus=0), 9, 0.1))
    assert [line.split()[-2:-1] for line in lines if "price" in line] == [["0.62"]]
    assert any("6.20 CPU-hours" in line for line in lines)
